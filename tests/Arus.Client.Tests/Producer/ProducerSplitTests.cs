using System.Globalization;
using Arus.Testing;

namespace Arus.Client.Tests;

public sealed class ProducerSplitTests
{
    private static readonly ProducerOptions Eager =
        new() { Linger = TimeSpan.Zero, RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };

    [Theory]
    [InlineData(CompressionType.None, null)]
    [InlineData(CompressionType.Gzip, null)]
    [InlineData(CompressionType.None, false)]
    public async Task Splits_a_batch_that_is_too_large_for_the_leader(CompressionType codec, bool? idempotent)
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.MaxBatchBytes = 150;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(new ProducerOptions
        {
            Linger = TimeSpan.FromHours(1), DeliveryTimeout = TimeSpan.FromHours(2), Compression = codec, EnableIdempotence = idempotent,
            Retries = 0,
            RetryBackoff = TimeSpan.FromHours(1), RetryBackoffMax = TimeSpan.FromHours(1),
        });
        var pending = new List<PendingDelivery>();
        for (int i = 0; i < 100; i++)
            pending.Add(await producer.EnqueueAsync(new("t", $"k{i}", $"v{i}") { Headers = [new("h", "x"u8.ToArray())] }));

        await producer.FlushAsync();
        Assert.Equal(
            Enumerable.Range(0, 100).Select(i => ((long)i, (string?)$"k{i}", (string?)$"v{i}")), partition.Records());
        for (int i = 0; i < 100; i++)
            Assert.Equal(i, (await pending[i].GetResultAsync()).Offset);

        // In the sequence of the batch that was refused: nothing was lost, so no new epoch is needed.
        RecordBatchHeader last = new(partition.Appends[^1].Entries[^1].Span);
        Assert.Equal(idempotent is null ? (0, 99) : (-1, -1), (last.ProducerEpoch, last.LastSequence));
        await ProduceNextAsync(producer, 100);
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(4, 2)]
    [InlineData(5, 4)]
    public async Task A_batch_that_may_be_on_the_log_is_not_appended_in_parts_as_well(int batches, int recordsPerBatch)
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { BatchSize = 61 + (recordsPerBatch * 100) });
        List<PendingDelivery> pending = await EnqueueTogetherAsync(producer, partition, batches * recordsPerBatch, size: 70);

        // The answer is lost, and the leader's limit lowered before the batches are sent again.
        partition.FailAfter = _ => partition.Appends.Count == 2 ? new TimeoutException("no answer") : null;
        partition.FailBefore = _ =>
        {
            partition.MaxBatchBytes = partition.Appends.Count > 2 ? 61 + 100 : int.MaxValue;
            return null;
        };
        partition.Release();
        await producer.FlushAsync();
        Assert.Equal(batches, partition.Appends[1].Entries.Count);
        Assert.Equal(
            Enumerable.Range(0, 1 + pending.Count), partition.Records().Select(
                r => int.Parse(r.Value!.TrimEnd('x'), CultureInfo.InvariantCulture)));
        foreach (PendingDelivery delivery in pending)
        {
            ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => delivery.GetResultAsync().AsTask());
            Assert.True(e.MayHaveBeenAppended);
        }

        await ProduceNextAsync(producer, 1 + pending.Count);
    }

    [Fact]
    public async Task A_record_that_may_be_on_the_log_says_nothing_of_the_batch_after_it()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 300 });
        List<PendingDelivery> pending = await EnqueueTogetherAsync(producer, partition, 1, size: 290);
        pending.Add(await producer.EnqueueAsync(new("t", "k", "2")));
        pending.Add(await producer.EnqueueAsync(new("t", "k", "3")));
        partition.FailAfter = _ => partition.Appends.Count == 2 ? new TimeoutException("no answer") : null;
        partition.FailBefore = _ =>
        {
            // A record that cannot be split is refused, though it is on the log; and so is the batch after it, which can be split.
            partition.MaxBatchBytes = partition.Appends.Count > 2 ? 72 : int.MaxValue;
            return null;
        };
        partition.Release();
        await producer.FlushAsync();
        Assert.Equal(2, partition.Appends[1].Entries.Count);
        Assert.Equal(4, partition.Records().Count);
        foreach (PendingDelivery delivery in pending)
        {
            ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => delivery.GetResultAsync().AsTask());
            Assert.True(e.MayHaveBeenAppended);
        }

        partition.FailBefore = null;
        partition.MaxBatchBytes = int.MaxValue;
        await ProduceNextAsync(producer, 4);
    }

    [Fact]
    public async Task A_leader_that_does_not_know_the_producer_accepts_no_batch_before_one_that_it_refused()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 261 });
        List<PendingDelivery> pending = await EnqueueTogetherAsync(producer, partition, 3, size: 70);
        partition.Refuse = () => partition.Appends.Count == 1 ? ErrorCode.InvalidRecord : ErrorCode.None;
        partition.MaxBatchBytes = 150; // The batch of the first two is too large, and the one after it is not.
        partition.Release();
        await producer.FlushAsync();
        Assert.Equal(["1", "2", "3"], partition.Records().Select(record => record.Value!.TrimEnd('x')));
        long[] offsets = await Task.WhenAll(pending.Select(async delivery => (await delivery.GetResultAsync()).Offset));
        Assert.Equal([0L, 1L, 2L], offsets);
    }

    [Fact]
    public async Task A_record_too_large_for_the_leader_fails_and_those_around_it_do_not()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.MaxBatchBytes = 150;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { Linger = TimeSpan.FromHours(1), DeliveryTimeout = TimeSpan.FromHours(2) });
        PendingDelivery before = await producer.EnqueueAsync(new("t", "k", "before"));
        PendingDelivery large = await producer.EnqueueAsync(new("t", "k", new string('x', 150)));
        PendingDelivery after = await producer.EnqueueAsync(new("t", "k", "after"));
        await producer.FlushAsync();
        Assert.Equal(0, (await before.GetResultAsync()).Offset);
        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => large.GetResultAsync().AsTask());
        Assert.Equal((ErrorCode.MessageTooLarge, false), (e.Code, e.MayHaveBeenAppended));
        Assert.Contains("the limit is max.message.bytes=150", e.Message, StringComparison.Ordinal);
        Assert.Equal(1, (await after.GetResultAsync()).Offset);
        Assert.Equal([(0, "k", "before"), (1, "k", "after")], partition.Records());
        await ProduceNextAsync(producer, 2);
    }

    /// <summary>
    /// Record 0 is in a call that is held until the partition releases it; those that are answered here, from 1 on, go with the next.
    /// </summary>
    private static async Task<List<PendingDelivery>> EnqueueTogetherAsync(
        IProducer<string, string> producer, InMemoryPartition partition, int count, int size)
    {
        partition.Hold();
        Task called = partition.NextCallAsync();
        await producer.EnqueueAsync(new("t", "k", "0"));
        await called;
        var pending = new List<PendingDelivery>();
        for (int i = 1; i <= count; i++)
            pending.Add(await producer.EnqueueAsync(new("t", "k", i.ToString(CultureInfo.InvariantCulture).PadRight(size, 'x'))));

        return pending;
    }

    private static async Task ProduceNextAsync(IProducer<string, string> producer, long expected)
    {
        PendingDelivery next = await producer.EnqueueAsync(new("t", "k", "next"));
        await producer.FlushAsync();
        Assert.Equal(expected, (await next.GetResultAsync()).Offset);
    }
}
