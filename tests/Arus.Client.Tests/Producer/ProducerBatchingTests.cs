using System.Text;
using Arus.Compression;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

public sealed class ProducerBatchingTests
{
    private static readonly ProducerOptions Eager =
        new() { Linger = TimeSpan.Zero, RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };

    [Fact]
    public async Task Appends_in_order_and_tells_each_record_its_offset()
    {
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 1);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(Eager with { BatchSize = 300 });
        var pending = new List<PendingDelivery>();
        for (int i = 0; i < 500; i++)
            pending.Add(await producer.EnqueueAsync(new("t", $"k{i}", $"v{i}")));

        await producer.FlushAsync();
        List<(long Offset, string? Key, string? Value)> records = cluster.Partition("t", 0).Records();
        Assert.Equal(Enumerable.Range(0, 500).Select(i => ((long)i, (string?)$"k{i}", (string?)$"v{i}")), records);
        for (int i = 0; i < 500; i++)
        {
            Assert.True(pending[i].IsCompleted);
            Assert.Equal(
                new DeliveryResult(new("t", 0), i, (await pending[i].GetResultAsync()).TimestampMs), await pending[i].GetResultAsync());
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
            cluster.Partition("t", 0).Appends.SelectMany(r => r.Entries),
            e => Assert.Equal(codec, new RecordBatchHeader(e.Span).Compression));
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
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            Eager with { Partitioner = byFirstLetter });
        Assert.Equal(0, (await producer.ProduceAsync(new("users", "Anna", "v"))).Partition.Partition);
        Assert.Equal(25, (await producer.ProduceAsync(new("users", "zoe", "v"))).Partition.Partition);
    }

    [Fact]
    public async Task Records_without_a_key_fill_one_partition_before_the_next()
    {
        const int BatchSize = 4096;
        int recordSize = RecordBatchBuilder.EstimateRecordSize(-1, 50, []);
        var cluster = new FakeCluster();
        cluster.AddTopic("t", 8);
        await using IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.FromHours(1), DeliveryTimeout = TimeSpan.FromHours(2), BatchSize = BatchSize });
        var chosen = new List<int>();
        for (int i = 0; i < 2000; i++)
            chosen.Add((await producer.EnqueueAsync(new("t", null, new string('x', 50)))).Partition.Partition);

        await producer.FlushAsync();
        InMemoryPartition[] partitions = [.. Enumerable.Range(0, 8).Select(p => cluster.Partition("t", p))];
        Assert.Equal(2000, partitions.Sum(p => p.Records().Count));

        // One after another gets a batch's worth of records, and never the same one twice.
        int[][] turns = [.. chosen.Chunk(BatchSize / recordSize)];
        Assert.All(turns, turn => Assert.Single(turn.Distinct()));
        Assert.All(turns.Zip(turns.Skip(1)), pair => Assert.NotEqual(pair.First[0], pair.Second[0]));

        // What is not flushed is sent when no further record fits.
        Assert.All(
            partitions.SelectMany(p => p.Batches.SkipLast(1)),
            batch => Assert.InRange(batch.Length, BatchSize - recordSize + 1, BatchSize));
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
        var retry = new GrainRetry(new ArusClientOptions(), cluster.Losses, cluster.Time);
        var core = new ProducerCore(
            cluster.Grains, cluster.Losses, retry, new TopicMetadata(cluster.Grains, retry, cluster.Time),
            Eager with { Partitioner = partitioner, BatchSize = BatchSize },
            cluster.Time, NullLogger.Instance);
        topic = new TopicAccumulator(core, "t");
        topic.Grow(1);
        PartitionAccumulator chosen = topic.Choose(null, [], isKeyNull: true, [], size: 1);
        Assert.NotEqual(0, chosen.Partition.Partition);
        Assert.Same(drawn, chosen);
    }

    [Fact]
    public async Task Lingers_for_company_but_sends_a_full_batch_at_once()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
        IProducer<string, string> producer = cluster.Client.CreateProducer<string, string>(
            new ProducerOptions { Linger = TimeSpan.FromMilliseconds(50), BatchSize = 1000 });
        PendingDelivery first = await producer.EnqueueAsync(new("t", "k", "v"));
        await time.WaitForArmedTimersAsync(1);
        time.Advance(TimeSpan.FromMilliseconds(49));
        Assert.Empty(partition.Appends);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await first.BatchCompletion;

        PendingDelivery full = await producer.EnqueueAsync(new("t", "k", new string('x', 990)));
        await full.BatchCompletion;
        Assert.Equal(2, partition.Appends.Count);
    }

    [Fact]
    public async Task Waits_for_room_in_the_buffer_and_gives_up_after_max_block()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        InMemoryPartition partition = cluster.Partition("t", 0);
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
}
