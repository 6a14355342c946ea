using System.Collections.Concurrent;
using Arus.Compression;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Client.Tests;

public class RecordProcessorTests
{
    private static readonly RecordProcessorOptions Options = new()
    {
        Consumer = new ConsumerOptions { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest },
        Topics = ["t"],
        RetryBackoff = TimeSpan.Zero,
        RetryBackoffMax = TimeSpan.Zero,
    };

    [Fact]
    public Task Keeps_the_order_of_each_key_while_many_handlers_run() => Seeds.RunAsync(fresh: 2, ProcessByKeyAsync);

    private static async Task ProcessByKeyAsync(int seed)
    {
        var random = new Random(seed);
        var cluster = new FakeCluster();
        var expected = new Dictionary<string, List<string>>();
        for (int i = 0; i < 1000; i++)
        {
            int key = random.Next(20);
            Append(cluster.Partition("t", key % 3), $"k{key}", $"v{i}");
            (expected.TryGetValue($"k{key}", out List<string>? list) ? list : expected[$"k{key}"] = []).Add($"v{i}");
        }

        var seen = new ConcurrentDictionary<string, List<string>>();
        var busy = new ConcurrentDictionary<string, bool>();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int count = 0;
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(
            Options with { MaxPending = 100 }, async (record, token) =>
        {
            Assert.True(busy.TryAdd(record.Key!, true), "two handlers run for one key");
            await Task.Yield();
            seen.GetOrAdd(record.Key!, key => []).Add(record.Value!);
            busy.TryRemove(record.Key!, out bool _);
            if (Interlocked.Increment(ref count) == 1000)
                done.SetResult();
        });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new("t", 0), new("t", 1), new("t", 2));
        await Task.WhenAny(done.Task, run);
        await stop.CancelAsync();
        await run;
        Assert.Equal(expected.OrderBy(e => e.Key), seen.OrderBy(e => e.Key));
        for (int p = 0; p < 3; p++)
            Assert.Equal(cluster.Partition("t", p).EndOffset, cluster.CommittedOffset("t", p));

        Assert.True(cluster.Membership.HasLeft);
    }

    [Fact]
    public async Task Never_commits_ahead_of_finished_work()
    {
        var cluster = new FakeCluster();
        foreach (string key in new[] { "a", "b", "c" })
            Append(cluster.Partition("t", 0), key, key);

        var slow = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var others = new CountdownEvent(2);
        var othersDone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(Options, async (record, _) =>
        {
            if (record.Key == "b")
            {
                await slow.Task;
                throw new InvalidOperationException("in the end it fails");
            }

            if (others.Signal())
                othersDone.SetResult();
        });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await othersDone.Task;
        slow.SetResult();
        RecordProcessingException e = await Assert.ThrowsAsync<RecordProcessingException>(() => run);
        Assert.Equal((new TopicPartition("t", 0), 1L), (e.Partition, e.Offset));
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task Tries_again_then_writes_to_the_dead_letter_topic_and_goes_on()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t.DLT", 1);
        Append(cluster.Partition("t", 0), "bad", "x");
        Append(cluster.Partition("t", 0), "flaky", "y");
        Append(cluster.Partition("t", 0), "good", "z");
        var attempts = new ConcurrentDictionary<string, int>();
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(
            Options with { OnFailure = FailureAction.DeadLetter, Order = ProcessingOrder.Partition },
            (record, _) =>
            {
                int attempt = attempts.AddOrUpdate(record.Key!, 1, (_, n) => n + 1);
                if (record.Key == "bad" || (record.Key == "flaky" && attempt < 2))
                    throw new InvalidOperationException("no good");

                if (record.Key == "good")
                    done.SetResult();

                return default;
            });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await Task.WhenAny(done.Task, run);
        await stop.CancelAsync();
        await run;
        Assert.Equal((3, 2, 1), (attempts["bad"], attempts["flaky"], attempts["good"]));
        Assert.Equal([(0, "bad", "x")], cluster.Partition("t.DLT", 0).Records());
        Assert.Equal(3, cluster.CommittedOffset("t", 0));

        await using IConsumer<string, string> reader = cluster.Client.CreateConsumer<string, string>();
        reader.Assign(new TopicPartitionOffset("t.DLT", 0, 0));
        ConsumeResult<string, string> letter = Assert.Single(await reader.PollAsync(TimeSpan.FromSeconds(30)));
        Assert.Equal(("t", "0", "0", "no good"), (
            letter.Headers.FindText("arus.dlt.topic"), letter.Headers.FindText("arus.dlt.partition"),
            letter.Headers.FindText("arus.dlt.offset"), letter.Headers.FindText("arus.dlt.exception.message")));
    }

    [Fact]
    public async Task Gives_a_partition_up_when_its_handlers_have_finished()
    {
        var cluster = new FakeCluster();
        Append(cluster.Partition("t", 0), "a", "1");
        Append(cluster.Partition("t", 0), "a", "2");
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var finish = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int handled = 0;
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(Options, async (_, _) =>
        {
            started.TrySetResult();
            await finish.Task;
            Interlocked.Increment(ref handled);
        });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await started.Task;
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Assert.False(revoked.IsCompleted);
        finish.SetResult();
        await revoked;
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
        await stop.CancelAsync();
        await run;
        Assert.Equal(1, handled);
    }

    [Fact]
    public async Task A_reset_commits_nothing_that_handlers_still_work_on()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        foreach (string key in new[] { "slow", "gone", "after" })
            Append(partition, key, key);

        partition.FailFetch = request =>
        {
            partition.DeleteBefore(request.Offset > 0 ? 2 : 0);
            return null;
        };
        var after = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        RecordProcessorOptions options = Options with
        {
            Consumer = Options.Consumer with { MaxPartitionFetchBytes = 1 },
            ShutdownTimeout = TimeSpan.Zero,
        };
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(options, async (record, aborted) =>
        {
            if (record.Key == "after")
            {
                after.SetResult();
                return;
            }

            await Task.Delay(Timeout.Infinite, aborted);
        });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await Task.WhenAny(after.Task, run);
        await stop.CancelAsync();
        await run.ContinueWith(_ => { }, TaskScheduler.Default);
        Assert.Equal(0, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task Goes_on_when_a_reset_goes_back()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        foreach (string key in new[] { "a", "b", "c" })
            Append(partition, key, key);

        // As when a topic was deleted and created again: what comes now has offsets that were read before.
        // Refused until the consumer has gone back: as long as records are not delivered it does not, and asks once more.
        (bool isOld, bool wasRefused) = (true, false);
        partition.RefuseFetch = request =>
        {
            bool refused = request.Offset == 3 && isOld;
            wasRefused |= refused;
            isOld &= refused || !wasRefused;
            return refused ? ErrorCode.OffsetOutOfRange : ErrorCode.None;
        };
        var seen = new ConcurrentQueue<string>();
        var again = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource(TestTimeout.Value);
        await using IRecordProcessor processor = cluster.Client.CreateProcessor<string, string>(Options, (record, _) =>
        {
            seen.Enqueue(record.Key!);
            if (seen.Count == 6)
                again.SetResult();

            return default;
        });
        Task run = processor.RunAsync(stop.Token);
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await Task.WhenAny(again.Task, run);
        await stop.CancelAsync();
        await run;
        Assert.Equal(["a", "a", "b", "b", "c", "c"], seen.Order());
        Assert.Equal(3, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public void A_reset_above_unfinished_work_waits_for_it()
    {
        var fetcher = new PartitionFetcher(new("t", 0), 30);
        fetcher.MarkDelivered(50, fetcher.Version);
        fetcher.Resolve(50, fetcher.Version);
        var before = new PartitionWork(fetcher, 0);
        Dictionary<long, long> old = Begin(before, 30, 50);
        before.ReadTo(50);
        Assert.Equal(30, fetcher.Processed);

        // The log is cut to 40: what was read from there on is gone, what was read before is not.
        fetcher.Resolve(40, fetcher.Version);
        Assert.False(before.IsCurrent);
        var work = new PartitionWork(fetcher, 1, before);
        Dictionary<long, long> current = Begin(work, 40, 45);
        fetcher.MarkDelivered(45, fetcher.Version);
        work.ReadTo(45);
        Assert.Equal(30, fetcher.Processed);
        work.End(current[40]);
        before.End(old[49]);
        Assert.Equal(30, fetcher.Processed);
        for (long offset = 30; offset < 40; offset++)
        {
            before.End(old[offset]);
            Assert.Equal(offset < 39 ? offset + 1 : 41, fetcher.Processed);
        }

        // Of those that are gone, some are still worked on: nothing waits for them.
        work.End(current[41]);
        Assert.Equal(42, fetcher.Processed);
        Assert.False(work.IsFinished);
        for (long offset = 40; offset < 49; offset++)
            before.End(old[offset]);

        Assert.Equal(42, fetcher.Processed);
        Assert.True(before.IsFinished);
    }

    [Fact]
    public void Work_from_before_two_resets_is_waited_for()
    {
        var fetcher = new PartitionFetcher(new("t", 0), 30);
        fetcher.MarkDelivered(50, fetcher.Version);
        fetcher.Resolve(50, fetcher.Version);
        var first = new PartitionWork(fetcher, 0);
        Dictionary<long, long> old = Begin(first, 30, 31);
        first.ReadTo(50);
        fetcher.Resolve(45, fetcher.Version);
        var second = new PartitionWork(fetcher, 1, first);
        second.ReadTo(45);
        fetcher.Resolve(40, fetcher.Version);
        var third = new PartitionWork(fetcher, 2, second);
        Dictionary<long, long> current = Begin(third, 40, 41);
        fetcher.MarkDelivered(41, fetcher.Version);
        third.ReadTo(41);
        third.End(current[40]);
        Assert.Equal(30, fetcher.Processed);
        Assert.False(third.IsFinished);
        first.End(old[30]);
        Assert.Equal(41, fetcher.Processed);
        Assert.True(third.IsFinished);
    }

    [Fact]
    public void Tracks_the_lowest_unfinished_offset() => Seeds.Run(fresh: 3, TrackOffsets);

    private static void TrackOffsets(int seed)
    {
        var random = new Random(seed);
        var tracker = new OffsetTracker(5);
        Assert.Equal(5, tracker.Low);
        var open = new SortedDictionary<long, long>();
        long offset = 5;
        for (int step = 0; step < 10_000; step++)
        {
            if (open.Count == 0 || random.Next(100) < 52)
            {
                offset += random.Next(1, 4);
                open.Add(offset, tracker.Add(offset));
            }
            else
            {
                KeyValuePair<long, long> finished = open.ElementAt(random.Next(Math.Min(open.Count, 10)));
                open.Remove(finished.Key);
                tracker.Complete(finished.Value);
            }

            Assert.Equal(open.Count > 0 ? open.First().Key : offset + 1, tracker.Low);
        }
    }

    /// <summary>Answers the sequence of each offset.</summary>
    private static Dictionary<long, long> Begin(PartitionWork work, long from, long to)
    {
        var sequences = new Dictionary<long, long>();
        for (long offset = from; offset < to; offset++)
        {
            sequences[offset] = work.Add(offset);
            Assert.True(work.TryBegin());
        }

        return sequences;
    }

    private static void Append(InMemoryPartition partition, string key, string value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1, System.Text.Encoding.UTF8.GetBytes(key), System.Text.Encoding.UTF8.GetBytes(value));
        partition.Put(builder.Build(new RecordBatchOptions()).Span);
    }
}
