using System.Globalization;
using System.Text;
using Arus.Grains;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public class ProducerTests
{
    private static readonly ProducerOptions Eager = new() { Linger = TimeSpan.Zero, RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };

    [Fact]
    public async Task Appends_in_order_and_tells_each_record_its_offset()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 300 });
        var pending = new List<PendingDelivery>();
        for (int i = 0; i < 500; i++)
        {
            pending.Add(await producer.EnqueueAsync(new("t", $"k{i}", $"v{i}")));
        }

        await producer.FlushAsync();
        List<(long Offset, string? Key, string? Value)> records = cluster.Partition("t", 0).Records();
        Assert.Equal(Enumerable.Range(0, 500).Select(i => ((long)i, (string?)$"k{i}", (string?)$"v{i}")), records);
        for (int i = 0; i < 500; i++)
        {
            Assert.True(pending[i].IsCompleted);
            Assert.Equal(new DeliveryResult(new("t", 0), i, (await pending[i].GetResultAsync()).TimestampMs), await pending[i].GetResultAsync());
        }
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public async Task Compresses_batches_and_keeps_nulls_and_headers(CompressionType codec)
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { Compression = codec });
        await producer.ProduceAsync(new("t", "key", null) { Headers = [new("h", Encoding.UTF8.GetBytes("x")), new("n", null)] });
        await producer.ProduceAsync(new("t", null, ""));
        Assert.Equal([(0, "key", null), (1, null, "")], cluster.Partition("t", 0).Records());
        Assert.All(
            cluster.Partition("t", 0).Requests.SelectMany(r => r.Entries), e => Assert.Equal(codec, new RecordBatchHeader(e.Span).Compression));
    }

    [Fact]
    public async Task Places_keys_as_Kafka_does_and_obeys_explicit_partitions()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 6);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        foreach (string key in new[] { "21", "foobar", "a", "kafka" })
        {
            DeliveryResult result = await producer.ProduceAsync(new("t", key, "v"));
            Assert.Equal(Murmur2.Partition(Encoding.UTF8.GetBytes(key), 6), result.Partition.Partition);
        }

        Assert.Equal(4, (await producer.ProduceAsync(new("t", "21", "v") { Partition = 4 })).Partition.Partition);
        ArusException e = await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("t", "21", "v") { Partition = 6 }));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, e.Code);
    }

    [Fact]
    public async Task A_partitioner_of_ones_own_decides()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("users", 26);
        IPartitioner byFirstLetter = Partitioners.From(
            static (in PartitionRequest r) => r.Key.IsEmpty ? 0 : (char.ToLowerInvariant((char)r.Key[0]) - 'a') % r.PartitionCount);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { Partitioner = byFirstLetter });
        Assert.Equal(0, (await producer.ProduceAsync(new("users", "Anna", "v"))).Partition.Partition);
        Assert.Equal(25, (await producer.ProduceAsync(new("users", "zoe", "v"))).Partition.Partition);
    }

    [Fact]
    public async Task Records_without_a_key_fill_one_partition_before_the_next()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 8);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.FromHours(1), DeliveryTimeout = TimeSpan.FromHours(2), BatchSize = 4096 });
        for (int i = 0; i < 2000; i++)
        {
            await producer.EnqueueAsync(new("t", null, new string('x', 50)));
        }

        await producer.FlushAsync();
        FakePartition[] partitions = [.. Enumerable.Range(0, 8).Select(p => cluster.Partition("t", p))];
        Assert.Equal(2000, partitions.Sum(p => p.Records().Count));
        int batches = partitions.Sum(p => p.Requests.Sum(r => r.Entries.Count));
        Assert.InRange(batches, 30, 90);
    }

    [Fact]
    public void A_topic_may_grow_while_a_partition_is_chosen()
    {
        const int BatchSize = 1_000;
        TopicAccumulator topic = null!;
        PartitionAccumulator? drawn = null;
        bool isInner = false;
        IPartitioner partitioner = Partitioners.From((in PartitionRequest _) =>
        {
            if (!isInner)
            {
                // What another thread may do here: the topic grows, and a new partition is drawn, by the second draw at the latest.
                isInner = true;
                topic.Grow(3);
                drawn = topic.Choose(null, [], isKeyNull: true, [], size: 1);
                drawn = drawn.Partition.Partition > 0 ? drawn : topic.Choose(null, [], isKeyNull: true, [], size: BatchSize - 1);
                drawn = drawn.Partition.Partition > 0 ? drawn : topic.Choose(null, [], isKeyNull: true, [], size: 2);
            }

            return IPartitioner.AnyPartition;
        });
        var cluster = new FakeCluster();
        var retry = new GrainRetry(new ArusClientOptions(), cluster.Time);
        var core = new ProducerCore(
            cluster.Grains, retry, new TopicMetadata(cluster.Grains, retry, cluster.Time), Eager with { Partitioner = partitioner, BatchSize = BatchSize },
            cluster.Time, NullLogger.Instance);
        topic = new TopicAccumulator(core, "t");
        topic.Grow(1);
        PartitionAccumulator chosen = topic.Choose(null, [], isKeyNull: true, [], size: 1);
        Assert.NotEqual(0, chosen.Partition.Partition);
        Assert.Same(drawn, chosen);
    }

    [Fact]
    public async Task Repeats_what_was_not_answered_without_duplicating_it()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        int failures = 0;
        partition.FailAfter = _ => failures++ < 2 ? new TimeoutException("no answer") : null;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        DeliveryResult result = await producer.ProduceAsync(new("t", "k", "v"));
        Assert.Equal(0, result.Offset);
        Assert.Equal(3, partition.Calls);
        Assert.Single(partition.Records());
    }

    [Theory]
    [InlineData(1, int.MaxValue)]
    [InlineData(2, int.MaxValue)]
    [InlineData(3, int.MaxValue)]
    [InlineData(4, int.MaxValue)]
    [InlineData(5, 200)]
    [InlineData(6, 100)]
    [InlineData(7, 80)]
    [InlineData(8, 80)]
    public async Task Whatever_fails_acknowledged_records_are_there_once_and_in_order(int seed, int maxBatchBytes)
    {
        var random = new Random(seed);
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 3);
        for (int p = 0; p < 3; p++)
        {
            FakePartition partition = cluster.Partition("t", p);
            partition.MaxBatchBytes = maxBatchBytes;
            partition.FailBefore = _ => Chance(random, 0.2) ? new SiloUnavailableException("gone") : null;
            partition.FailAfter = _ => Chance(random, 0.2) ? new TimeoutException("no answer") : null;
            partition.Refuse = _ => Chance(random, 0.1) ? ErrorCode.NotLeaderOrFollower : Chance(random, 0.03) ? ErrorCode.InvalidRecord : ErrorCode.None;
        }

        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 400 });
        var pending = new List<(string Value, PendingDelivery Delivery)>();
        for (int i = 0; i < 600; i++)
        {
            pending.Add(($"v{i}", await producer.EnqueueAsync(new("t", null, $"v{i}") { Partition = i % 3 })));
        }

        await producer.FlushAsync();
        var acknowledged = new HashSet<string>();
        var doubtful = new HashSet<string>();
        foreach ((string value, PendingDelivery delivery) in pending)
        {
            try
            {
                await delivery.GetResultAsync();
                acknowledged.Add(value);
            }
            catch (ProduceException e)
            {
                // The parts of a batch that got no answer cannot be told from it, and fail once one of them is refused.
                bool isDoubtful = e is { Code: ErrorCode.OutOfOrderSequenceNumber, MayHaveBeenAppended: true } && maxBatchBytes < int.MaxValue;
                Assert.True(e.Code == ErrorCode.InvalidRecord || isDoubtful, $"seed {seed}: {e.Code} {e.Message}");
                _ = isDoubtful && doubtful.Add(value);
            }
        }

        for (int p = 0; p < 3; p++)
        {
            // A record whose failure says that it may be on the log may be there, in its place and once.
            string[] onLog = [.. cluster.Partition("t", p).Records().Select(r => r.Value!)];
            string[] expected = [.. pending.Where(x => x.Delivery.Partition.Partition == p).Select(x => x.Value)
                .Where(value => acknowledged.Contains(value) || (doubtful.Contains(value) && onLog.Contains(value)))];
            Assert.True(expected.SequenceEqual(onLog), $"seed {seed}, partition {p}");
        }

        Assert.InRange(acknowledged.Count, 100, 600);
    }

    [Fact]
    public async Task After_a_batch_is_lost_for_good_the_next_ones_begin_a_new_epoch()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "first"));
        partition.Refuse = _ => ErrorCode.InvalidRecord;
        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => producer.ProduceAsync(new("t", "k", "second")));
        Assert.Equal((ErrorCode.InvalidRecord, false), (e.Code, e.MayHaveBeenAppended));
        partition.Refuse = null;
        Assert.Equal(1, (await producer.ProduceAsync(new("t", "k", "third"))).Offset);
        RecordBatchHeader last = new(partition.Requests[^1].Entries[0].Span);
        Assert.Equal((1, 0), (last.ProducerEpoch, last.BaseSequence));
    }

    [Fact]
    public async Task A_failure_that_is_known_already_is_in_the_task_too()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        cluster.Partition("t", 0).Refuse = _ => ErrorCode.InvalidRecord;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        PendingDelivery pending = await producer.EnqueueAsync(new("t", "k", "v"));
        await pending.BatchCompletion;

        // ProduceAsync makes the same call, when its batch may have been refused already.
        ValueTask<DeliveryResult> result = pending.GetResultAsync();
        Assert.True(result.IsFaulted);
        Assert.Equal(ErrorCode.InvalidRecord, (await Assert.ThrowsAsync<ProduceException>(result.AsTask)).Code);
    }

    [Theory]
    [InlineData(CompressionType.None, null)]
    [InlineData(CompressionType.Gzip, null)]
    [InlineData(CompressionType.None, false)]
    public async Task Splits_a_batch_that_is_too_large_for_the_leader(CompressionType codec, bool? idempotent)
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        partition.MaxBatchBytes = 150;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(new ProducerOptions
        {
            Linger = TimeSpan.FromHours(1), DeliveryTimeout = TimeSpan.FromHours(2), Compression = codec, EnableIdempotence = idempotent, Retries = 0,
            RetryBackoff = TimeSpan.FromHours(1), RetryBackoffMax = TimeSpan.FromHours(1),
        });
        var pending = new List<PendingDelivery>();
        for (int i = 0; i < 100; i++)
        {
            pending.Add(await producer.EnqueueAsync(new("t", $"k{i}", $"v{i}") { Headers = [new("h", "x"u8.ToArray())] }));
        }

        await producer.FlushAsync();
        Assert.Equal(
            Enumerable.Range(0, 100).Select(i => ((long)i, (string?)$"k{i}", (string?)$"v{i}")), partition.Records());
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(i, (await pending[i].GetResultAsync()).Offset);
        }

        // In the sequence of the batch that was refused: nothing was lost, so no new epoch is needed.
        RecordBatchHeader last = new(partition.Requests[^1].Entries[^1].Span);
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
        FakePartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { BatchSize = 61 + (recordsPerBatch * 100) });
        List<PendingDelivery> pending = await EnqueueTogetherAsync(producer, partition, batches * recordsPerBatch, size: 70);

        // The answer is lost, and the leader's limit lowered before the batches are sent again.
        partition.FailAfter = _ => partition.Calls == 2 ? new TimeoutException("no answer") : null;
        partition.FailBefore = _ =>
        {
            partition.MaxBatchBytes = partition.Calls > 2 ? 61 + 100 : int.MaxValue;
            return null;
        };
        partition.Release();
        await producer.FlushAsync();
        Assert.Equal(batches, partition.Requests[1].Entries.Count);
        Assert.Equal(Enumerable.Range(0, 1 + pending.Count), partition.Records().Select(r => int.Parse(r.Value!.TrimEnd('x'), CultureInfo.InvariantCulture)));
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
        FakePartition partition = cluster.Partition("t", 0);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 300 });
        List<PendingDelivery> pending = await EnqueueTogetherAsync(producer, partition, 1, size: 290);
        pending.Add(await producer.EnqueueAsync(new("t", "k", "2")));
        pending.Add(await producer.EnqueueAsync(new("t", "k", "3")));
        partition.FailAfter = _ => partition.Calls == 2 ? new TimeoutException("no answer") : null;
        partition.FailBefore = _ =>
        {
            // A record that cannot be split is refused, though it is on the log; and so is the batch after it, which can be split.
            partition.MaxBatchBytes = partition.Calls > 2 ? 72 : int.MaxValue;
            return null;
        };
        partition.Release();
        await producer.FlushAsync();
        Assert.Equal(2, partition.Requests[1].Entries.Count);
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
    public async Task A_record_too_large_for_the_leader_fails_and_those_around_it_do_not()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
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
        Assert.Contains("the limit is 150", e.Message, StringComparison.Ordinal);
        Assert.Equal(1, (await after.GetResultAsync()).Offset);
        Assert.Equal([(0, "k", "before"), (1, "k", "after")], partition.Records());
        await ProduceNextAsync(producer, 2);
    }

    [Fact]
    public async Task Lingers_for_company_but_sends_a_full_batch_at_once()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.FromMilliseconds(50), BatchSize = 1000 });
        PendingDelivery first = await producer.EnqueueAsync(new("t", "k", "v"));
        await time.WaitForArmedTimersAsync(1);
        time.Advance(TimeSpan.FromMilliseconds(49));
        Assert.Equal(0, partition.Calls);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await first.BatchCompletion;

        PendingDelivery full = await producer.EnqueueAsync(new("t", "k", new string('x', 990)));
        await full.BatchCompletion;
        Assert.Equal(2, partition.Calls);
    }

    [Fact]
    public async Task Waits_for_room_in_the_buffer_and_gives_up_after_max_block()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        partition.Hold();
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.Zero, BufferMemory = 2_000, MaxBlock = TimeSpan.FromSeconds(5) });
        Task called = partition.NextCallAsync();
        PendingDelivery first = await producer.EnqueueAsync(new("t", "k", new string('x', 1_500)));
        await called;

        Task<PendingDelivery> tooLate = producer.EnqueueAsync(new("t", "k", new string('y', 1_000))).AsTask();
        await time.WaitForArmedTimersAsync(2);
        time.Advance(TimeSpan.FromSeconds(5));
        ArusException e = await Assert.ThrowsAsync<ArusException>(() => tooLate);
        Assert.Contains("buffer.memory", e.Message, StringComparison.Ordinal);

        Task<PendingDelivery> inTime = producer.EnqueueAsync(new("t", "k", new string('z', 1_000))).AsTask();
        Assert.False(inTime.IsCompleted);
        partition.Release();
        Assert.Equal(1, (await (await inTime).GetResultAsync()).Offset);
        Assert.Equal(0, (await first.GetResultAsync()).Offset);
    }

    [Fact]
    public async Task A_call_that_is_never_answered_is_made_again()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { RequestTimeout = TimeSpan.FromSeconds(10) });
        await producer.ProduceAsync(new("t", "k", "first"));
        partition.LoseNextCall = true;
        Task called = partition.NextCallAsync();
        Task<DeliveryResult> produced = producer.ProduceAsync(new("t", "k", "second"));
        await called;
        await time.WaitForArmedTimersAsync(1);
        time.Advance(TimeSpan.FromSeconds(15));
        Assert.Equal(1, (await produced).Offset);
        Assert.Equal(3, partition.Calls);
    }

    [Fact]
    public async Task Without_acks_nobody_waits_for_the_answer()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        FakePartition partition = cluster.Partition("t", 0);
        partition.Hold();
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { Acks = Acks.None });
        Assert.Equal(-1, (await producer.ProduceAsync(new("t", "k", "v"))).Offset);
        Assert.Empty(partition.Records());
        partition.Release();
        await producer.ProduceAsync(new("t", "k", "w"));
    }

    [Fact]
    public async Task Fails_what_is_not_acknowledged_in_time()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.Zero, DeliveryTimeout = TimeSpan.FromSeconds(10), RetryBackoff = TimeSpan.FromSeconds(4), RetryBackoffMax = TimeSpan.FromSeconds(4) });
        await producer.ProduceAsync(new("t", "k", "v"));
        cluster.Partition("t", 0).FailBefore = _ => new TimeoutException("no answer");
        Task<DeliveryResult> produced = producer.ProduceAsync(new("t", "k", "v"));
        while (!produced.IsCompleted)
        {
            await Task.WhenAny(produced, time.WaitForArmedTimersAsync(1));
            time.AdvanceToNextTimer();
        }

        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => produced);
        Assert.Equal((ErrorCode.RequestTimedOut, true), (e.Code, e.MayHaveBeenAppended));
    }

    [Fact]
    public async Task Says_what_is_wrong_with_a_record_or_a_topic()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { MaxRequestSize = 1000 });
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("none", "k", "v")))).Code);
        Assert.Equal(ErrorCode.InvalidTopicException, (await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("a b", "k", "v")))).Code);
        ArusException large = await Assert.ThrowsAsync<ArusException>(() => producer.ProduceAsync(new("t", "k", new string('x', 1000))));
        Assert.Equal(ErrorCode.MessageTooLarge, large.Code);
        Assert.Contains("max.request.size", large.Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => cluster.Client.CreateProducer<string, Version>());
        Assert.Throws<ArgumentException>(() => cluster.Client.CreateProducer<string, string>(new ProducerOptions { Acks = Acks.Leader, EnableIdempotence = true }));
    }

    [Fact]
    public async Task A_deleted_topic_fails_its_records_instead_of_holding_them()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 2);
        cluster.Partition("t", 1).Refuse = _ => ErrorCode.UnknownTopicOrPartition;
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager);
        await producer.ProduceAsync(new("t", "k", "v") { Partition = 0 });
        cluster.AddTopic("t", 1);
        ProduceException e = await Assert.ThrowsAsync<ProduceException>(() => producer.ProduceAsync(new("t", "k", "v") { Partition = 1 }));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, e.Code);
    }

    /// <summary>Record 0 is in a call that is held until the partition releases it; those that are answered here, from 1 on, go with the next.</summary>
    private static async Task<List<PendingDelivery>> EnqueueTogetherAsync(
        IProducer<string, string> producer, FakePartition partition, int count, int size)
    {
        partition.Hold();
        Task called = partition.NextCallAsync();
        await producer.EnqueueAsync(new("t", "k", "0"));
        await called;
        var pending = new List<PendingDelivery>();
        for (int i = 1; i <= count; i++)
        {
            pending.Add(await producer.EnqueueAsync(new("t", "k", i.ToString(CultureInfo.InvariantCulture).PadRight(size, 'x'))));
        }

        return pending;
    }

    private static async Task ProduceNextAsync(IProducer<string, string> producer, long expected)
    {
        PendingDelivery next = await producer.EnqueueAsync(new("t", "k", "next"));
        await producer.FlushAsync();
        Assert.Equal(expected, (await next.GetResultAsync()).Offset);
    }

    private static bool Chance(Random random, double chance)
    {
        lock (random)
        {
            return random.NextDouble() < chance;
        }
    }
}
