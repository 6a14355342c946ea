using System.Text;
using Arus.Compression;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Client.Tests;

public sealed class ConsumerPollingTests : ConsumerTestBase
{
    [Fact]
    public async Task Reads_from_the_beginning_and_knows_where_it_is()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Put("a", "b");
        partition.Put("c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, TopicPartitionOffset.Beginning));
        var read = new List<ConsumeResult<string, string>>();
        while (read.Count < 3)
            read.AddRange(await consumer.PollAsync(Forever, Bound));

        Assert.Equal([(0L, "ka", "a"), (1L, "kb", "b"), (2L, "kc", "c")], read.Select(r => (r.Offset, r.Key, r.Value)));
        Assert.Equal(1_000, read[0].TimestampMs);
        Assert.Equal(3, consumer.Position(new("t", 0)));
        Assert.Equal(0, consumer.Lag(new("t", 0)));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever, Bound).AsTask();
        partition.Put("d");
        Assert.Equal("d", Assert.Single(await waiting).Value);
    }

    [Fact]
    public async Task Reads_committed_records_only_if_asked_to()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        await WriteAsync(7, 0, "aborted");
        await WriteAsync(8, 0, "committed");
        await partition.WriteMarkerAsync(new(7, 0, 0, IsCommit: false, 1));
        await partition.WriteMarkerAsync(new(8, 0, 0, IsCommit: true, 1));
        await WriteAsync(7, 1, "committed later");
        await partition.WriteMarkerAsync(new(7, 0, 0, IsCommit: true, 1));
        await WriteAsync(8, 1, "open");
        partition.Put("behind");
        foreach (IsolationLevel isolation in Enum.GetValues<IsolationLevel>())
        {
            await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
                Plain with { IsolationLevel = isolation });
            consumer.Assign(new TopicPartitionOffset("t", 0, TopicPartitionOffset.Beginning));
            bool isCommitted = isolation == IsolationLevel.ReadCommitted;
            string[] expected = isCommitted
                ? ["committed", "committed later"]
                : ["aborted", "committed", "committed later", "open", "behind"];
            var read = new List<string?>();
            while (read.Count < expected.Length)
                read.AddRange((await consumer.PollAsync(Forever, Bound)).Select(record => record.Value));

            Assert.Equal(expected, read);
            Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
            Assert.Equal(isCommitted ? 6 : 8, consumer.Position(new("t", 0)));
            Assert.Equal(0, consumer.Lag(new("t", 0)));
        }

        async Task WriteAsync(long producerId, int sequence, string value)
        {
            using var builder = new RecordBatchBuilder();
            builder.Append(1_000, null, Encoding.UTF8.GetBytes(value));
            var options = new RecordBatchOptions
            {
                ProducerId = producerId, ProducerEpoch = 0, BaseSequence = sequence, IsTransactional = true,
            };
            byte[] batch = builder.Build(options).ToArray();
            PartitionAppendResult result = await partition.AppendAsync(new PartitionAppend(
                1, 1_000, [batch], Transaction: new AppendTransaction($"{producerId}", TransactionSupport.Verified)));
            Assert.Equal(ErrorCode.None, result.Results.Single().Error);
        }
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Zstd)]
    public async Task Gives_no_more_records_than_asked_for_and_reads_headers(CompressionType codec)
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < 10; i++)
            builder.Append(i, null, Encoding.UTF8.GetBytes($"{i}"), [new("h", Encoding.UTF8.GetBytes($"x{i}")), new("null", null)]);

        cluster.Partition("t", 0).Put(builder.Build(new RecordBatchOptions { Compression = codec }).Span);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain with { MaxPollRecords = 4 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        var sizes = new List<int>();
        int next = 0;
        while (next < 10)
        {
            IReadOnlyList<ConsumeResult<string, string>> records = await consumer.PollAsync(Forever, Bound);
            sizes.Add(records.Count);
            foreach (ConsumeResult<string, string> record in records)
            {
                Assert.Null(record.Key);
                Assert.Equal($"{next}", record.Value);
                Assert.Equal($"x{next++}", record.Headers.FindText("h"));
                Assert.Null(record.Headers.FindText("null"));
                Assert.Equal(2, record.Headers.Count);
            }
        }

        Assert.Equal([4, 4, 2], sizes);
    }

    [Fact]
    public async Task Seeks_without_waiting_for_the_fetch_that_is_under_way()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Put("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, TopicPartitionOffset.End));
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever, Bound).AsTask();
        consumer.Seek(new("t", 0), 1);
        Assert.Equal(["b", "c"], (await waiting).Select(r => r.Value));
        consumer.Seek(new("t", 0), TopicPartitionOffset.Beginning);
        Assert.Equal(["a", "b", "c"], (await consumer.PollAsync(Forever, Bound)).Select(r => r.Value));
        Assert.Throws<ArgumentOutOfRangeException>(() => consumer.Seek(new("t", 0), -5));
        Assert.Throws<InvalidOperationException>(() => consumer.Seek(new("t", 1), 0));
    }

    [Fact]
    public async Task Delivers_nothing_of_a_paused_partition()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a");
        cluster.Partition("t", 1).Put("b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0), new TopicPartitionOffset("t", 1, 0));
        consumer.Pause(new TopicPartition("t", 0));
        Assert.Equal("b", Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        consumer.Resume(new TopicPartition("t", 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
    }

    [Fact]
    public async Task Polls_one_at_a_time()
    {
        var cluster = new FakeCluster();
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        using var stop = new CancellationTokenSource();
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever, stop.Token).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => consumer.PollAsync(TimeSpan.Zero).AsTask());
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task Finds_offsets_by_time()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Put("a", "b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        IReadOnlyList<TopicPartitionOffset> found =
            await consumer.OffsetsForTimeAsync([new("t", 0)], DateTimeOffset.FromUnixTimeMilliseconds(500));
        Assert.Equal([new TopicPartitionOffset("t", 0, 0)], found);
        Assert.Equal(
            TopicPartitionOffset.End, (await consumer.OffsetsForTimeAsync([new("t", 0)], DateTimeOffset.UnixEpoch.AddYears(60)))[0].Offset);
    }

    [Fact]
    public async Task Assigns_or_subscribes_but_not_both()
    {
        var cluster = new FakeCluster();
        await using IConsumer<string, string> alone = cluster.Client.CreateConsumer<string, string>(Plain);
        Assert.Throws<InvalidOperationException>(() => alone.Subscribe("t"));
        await using IConsumer<string, string> member = cluster.Client.CreateConsumer<string, string>(Grouped);
        member.Subscribe("t");
        Assert.Throws<InvalidOperationException>(() => member.Assign(new TopicPartitionOffset("t", 0, 0)));
        Assert.Throws<ArgumentException>(() => cluster.Client.CreateConsumer<string, string>(Plain with { GroupInstanceId = "i" }));
    }

    [Fact]
    public async Task Fetches_no_more_than_the_buffer_allows()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        for (int i = 0; i < 100; i++)
            partition.Put(new string('x', 1000));

        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Plain with { FetchMaxBytes = 3_000, MaxPartitionFetchBytes = 2_000, MaxPollRecords = 1 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Single(await consumer.PollAsync(Forever, Bound));
        int read = 1;
        while (read < 100)
        {
            read += (await consumer.PollAsync(Forever, Bound)).Count;
            Assert.InRange(partition.Fetches.Count, read, read + 3);
        }
    }
}
