using System.Text;
using Arus.Compression;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

/// <summary>What several threads do to a consumer at once, done by one thread in the order that hurts.</summary>
public sealed class ConsumerInterleavingTests : ConsumerTestBase
{
    private static readonly TopicPartition First = new("t", 0);
    private static readonly TopicPartition Second = new("t", 1);

    private readonly ManualTimeProvider _time = new();
    private readonly Hook _hook = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_partition_that_one_poll_reads_twice_is_not_processed_before_it_is_given(bool isRevoked)
    {
        (ConsumerCore core, Consumer<string, string> consumer) = Create(new ConsumerOptions());
        await using Consumer<string, string> end = consumer;
        core.Add([new(First, 0), new(Second, 0)]);
        PartitionFetcher twice = core.Get(First);
        Accept(core, First, Batch(0, "a", "b", "c"));
        Accept(core, Second, Batch(0, "x"));
        _hook.OnRecord = value =>
        {
            if (value == "x")
            {
                Accept(core, First, Marker(3));
                if (isRevoked)
                    twice.BeginRevoke();
            }
        };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Bound);
        await using var records = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator(Bound);
        Assert.True(await records.MoveNextAsync());
        Assert.Equal(isRevoked ? "x" : "a", records.Current.Value);
        Assert.Equal(isRevoked ? (0L, 0L) : (1L, 0L), (twice.Delivered, twice.Processed));
        for (int i = 0; i < 3 && !isRevoked; i++)
            Assert.True(await records.MoveNextAsync());

        Task<bool> next = records.MoveNextAsync().AsTask();
        Assert.False(next.IsCompleted);
        Assert.Equal(isRevoked ? (0L, 0L) : (4L, 4L), (twice.Delivered, twice.Processed));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public async Task A_reset_while_the_last_record_is_worked_on_is_not_taken_back(long resetTo)
    {
        (ConsumerCore core, Consumer<string, string> consumer) = Create(new ConsumerOptions());
        await using Consumer<string, string> end = consumer;
        core.Add([new(First, 0)]);
        PartitionFetcher fetcher = core.Get(First);
        Accept(core, First, Batch(0, "a", "b"));
        await using IAsyncEnumerator<ConsumeResult<string, string>> records = consumer.ConsumeAsync(Bound).GetAsyncEnumerator();
        Assert.True(await records.MoveNextAsync());
        Assert.False(fetcher.MayReset(fetcher.Version));
        Assert.True(await records.MoveNextAsync());
        int version = fetcher.Version;
        Assert.True(fetcher.MayReset(version));
        fetcher.Resolve(resetTo, version);
        Assert.Equal((resetTo, Math.Min(1, resetTo)), (fetcher.Delivered, fetcher.Processed));

        Task<bool> next = records.MoveNextAsync().AsTask();
        Assert.Equal((resetTo, resetTo, resetTo), (fetcher.Position, fetcher.Delivered, fetcher.Processed));
        Assert.True(fetcher.MayReset(fetcher.Version));
        Accept(core, First, Batch(resetTo, "c"));
        Assert.True(await next);
        Assert.Equal((resetTo, "c"), (records.Current.Offset, records.Current.Value));
    }

    [Fact]
    public async Task A_buffer_that_fills_while_it_is_drained_does_not_stop_a_partition()
    {
        var answer = new TaskCompletionSource<PartitionReadResult>();
        var fetchedAgain = new TaskCompletionSource<PartitionReadResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var fetching = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        byte[] drained = Batch(0, "first");
        byte[] fetched = Batch(0, "other");
        int fetches = 0;
        (ConsumerCore core, Consumer<string, string> consumer) = Create(
            new ConsumerOptions { FetchMaxBytes = drained.Length + 1, MaxPollRecords = 1 }, key =>
        {
            if (key != PartitionKey.Format("t", 1))
                return new TaskCompletionSource<PartitionReadResult>().Task;

            if (Interlocked.Increment(ref fetches) > 1)
            {
                fetchedAgain.TrySetResult(Response(fetched));
                return new TaskCompletionSource<PartitionReadResult>().Task;
            }

            fetching.SetResult();
            return answer.Task;
        });
        await using Consumer<string, string> end = consumer;
        core.Add([new(First, 0), new(Second, 0)]);
        await fetching.Task;
        Accept(core, First, drained);
        Assert.False(core.IsBufferFull);

        // The loop goes on right here, in the midst of the drain: it takes the answer in, finds the buffer full, and waits.
        _hook.OnRecord = value =>
        {
            if (value == "first")
                answer.SetResult(Response(fetched));
        };
        IReadOnlyList<ConsumeResult<string, string>> records = await Task.Run(() => consumer.PollAsync(Forever, Bound).AsTask());
        Assert.Equal("first", Assert.Single(records).Value);
        await fetchedAgain.Task;
        Assert.False(core.IsBufferFull);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_commit_that_is_answered_after_the_position_went_back_finishes_nothing_new(bool isReset)
    {
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var group = new InMemoryGroup { Delivery = answer.Task };
        IGrainFactory grains = Fake.Of<IGrainFactory>((method, _) => method.GetGenericArguments()[0] == typeof(IGroupGrain)
            ? group
            : Fake.Of<IPartitionGrain>((_, _) => new TaskCompletionSource<PartitionReadResult>().Task));
        var core = new ConsumerCore(
            grains, new SiloLosses(_time), new GrainRetry(new ArusClientOptions(), new SiloLosses(_time), _time),
            new ConsumerOptions { GroupId = "g" }, _time, NullLogger.Instance);
        await using var committer = new OffsetCommitter(core);
        core.Add([new(First, 0)]);
        PartitionFetcher fetcher = core.Get(First);
        fetcher.Resolve(50, fetcher.Version);
        Task commit = committer.CommitAsync([fetcher], CancellationToken.None);
        if (isReset)
            fetcher.Resolve(0, fetcher.Version);
        else
            core.Seek(First, 0);

        fetcher.MarkDelivered(10, fetcher.Version);
        answer.SetResult();
        await commit;
        Assert.Equal((50L, 10L, 0L), (fetcher.Committed, fetcher.Delivered, fetcher.Processed));
        fetcher.MarkProcessed();
        Assert.Equal(10, fetcher.Processed);
        core.Remove(null);
    }

    private static PartitionReadResult Response(byte[] batch) => new(ErrorCode.None, 0, 1_000, 1_000, 0, [batch]);

    private static void Accept(ConsumerCore core, TopicPartition partition, byte[] batch)
    {
        PartitionFetcher fetcher = core.Get(partition);
        core.Accept(fetcher, Response(batch), fetcher.Version);
    }

    private static byte[] Batch(long offset, params string[] values) => Batch(offset, new RecordBatchOptions(), values);

    /// <summary>A batch that gives the application nothing, as the end of a transaction does.</summary>
    private static byte[] Marker(long offset) => Batch(offset, new RecordBatchOptions { IsControl = true }, "marker");

    private static byte[] Batch(long offset, RecordBatchOptions options, params string[] values)
    {
        using var builder = new RecordBatchBuilder();
        foreach (string value in values)
            builder.Append(1_000, null, Encoding.UTF8.GetBytes(value));

        byte[] batch = builder.Build(options).ToArray();
        RecordBatches.SetBaseOffset(batch, offset);
        return batch;
    }

    private (ConsumerCore Core, Consumer<string, string> Consumer) Create(
        ConsumerOptions options, Func<string, Task<PartitionReadResult>>? fetch = null)
    {
        // Fetches stay unanswered unless a test answers them: what comes, comes by Accept.
        IGrainFactory grains = Fake.Of<IGrainFactory>((_, key) => Fake.Of<IPartitionGrain>((_, _) =>
            fetch?.Invoke((string)key[0]!) ?? new TaskCompletionSource<PartitionReadResult>().Task));
        var losses = new SiloLosses(_time);
        var retry = new GrainRetry(new ArusClientOptions(), losses, _time);
        var core = new ConsumerCore(grains, losses, retry, options, _time, NullLogger.Instance);
        return (core, new Consumer<string, string>(
            core, (_, _, _) => throw new NotSupportedException(), new TopicMetadata(grains, retry, _time), _hook, _hook));
    }

    /// <summary>Text, with something done whenever a value is read: in the midst of a poll.</summary>
    private sealed class Hook : IRecordSerializer<string>
    {
        public Action<string>? OnRecord { get; set; }

        public void Serialize(string value, System.Buffers.IBufferWriter<byte> destination) => throw new NotSupportedException();

        public string Deserialize(ReadOnlyMemory<byte> data)
        {
            string value = Encoding.UTF8.GetString(data.Span);
            OnRecord?.Invoke(value);
            return value;
        }
    }
}
