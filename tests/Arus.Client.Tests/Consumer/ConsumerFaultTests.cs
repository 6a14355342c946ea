using Arus.Compression;
using Arus.Testing;

namespace Arus.Client.Tests;

public sealed class ConsumerFaultTests : ConsumerTestBase
{
    [Fact]
    public async Task Resets_an_offset_that_is_gone_as_configured()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Put("a", "b");
        partition.Put("c");
        partition.DeleteBefore(2);
        await using IConsumer<string, string> earliest = cluster.Client.CreateConsumer<string, string>(
            Plain with { AutoOffsetReset = AutoOffsetReset.Earliest });
        earliest.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("c", Assert.Single(await earliest.PollAsync(Forever, Bound)).Value);

        await using IConsumer<string, string> none = cluster.Client.CreateConsumer<string, string>(
            Plain with { AutoOffsetReset = AutoOffsetReset.None });
        none.Assign(new TopicPartitionOffset("t", 0, 0));
        ConsumeException e = await Assert.ThrowsAsync<ConsumeException>(() => none.PollAsync(Forever, Bound).AsTask());
        Assert.Equal(ErrorCode.OffsetOutOfRange, e.Code);
        none.Seek(new("t", 0), 2);
        Assert.Equal("c", Assert.Single(await none.PollAsync(Forever, Bound)).Value);
    }

    [Theory]
    [InlineData(AutoOffsetReset.Earliest)]
    [InlineData(AutoOffsetReset.None)]
    public async Task Delivers_what_it_has_before_it_resets(AutoOffsetReset reset)
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Put("a", "b", "c");
        partition.Put("d");
        partition.Put("e");
        var refused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        partition.FailFetch = request =>
        {
            // All but the last record is deleted while the first three are buffered.
            partition.DeleteBefore(request.Offset >= 3 ? 4 : 0);
            return null;
        };
        partition.RefuseFetch = request =>
        {
            if (request.Offset is 3)
            {
                refused.TrySetResult();
                return ErrorCode.OffsetOutOfRange;
            }

            return ErrorCode.None;
        };
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Plain with { AutoOffsetReset = reset, MaxPollRecords = 1, MaxPartitionFetchBytes = 1 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        await refused.Task;
        var values = new List<string?>();
        ConsumeException? none = null;
        while (!values.Contains("e") && none is null)
        {
            try
            {
                values.AddRange((await consumer.PollAsync(Forever, Bound)).Select(r => r.Value));
            }
            catch (ConsumeException e)
            {
                none = e;
            }
        }

        Assert.Equal(reset == AutoOffsetReset.None ? ["a", "b", "c"] : ["a", "b", "c", "e"], values);
        Assert.Equal(reset == AutoOffsetReset.None ? 3L : null, none?.Offset);
    }

    [Fact]
    public async Task A_damaged_fetch_ends_behind_what_came_whole()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        partition.Put("a");
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, "x"u8.ToArray());
        long damaged = partition.Put(builder.Build(new RecordBatchOptions()).Span);
        partition.Damage(damaged, batch => batch[8] = 0x80); // A length below 0.
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
        ConsumeException e = await Assert.ThrowsAsync<ConsumeException>(() => consumer.PollAsync(Forever, Bound).AsTask());
        Assert.Equal((ErrorCode.CorruptMessage, 1L), (e.Code, e.Offset));
    }

    [Fact]
    public void A_reset_does_not_make_processed_what_the_application_still_works_on()
    {
        var fetcher = new PartitionFetcher(new("t", 0), 0);
        fetcher.MarkDelivered(5, fetcher.Version);
        fetcher.Resolve(10, fetcher.Version);
        Assert.Equal((10, 0), (fetcher.Position, fetcher.Processed));
        Assert.True(fetcher.HasUnprocessed);
        fetcher.MarkProcessed();
        Assert.Equal(10, fetcher.Processed);
        fetcher.Resolve(20, fetcher.Version);
        Assert.Equal(20, fetcher.Processed);
    }

    [Fact]
    public async Task Goes_on_after_faults_of_the_cluster()
    {
        var cluster = new FakeCluster();
        InMemoryPartition partition = cluster.Partition("t", 0);
        int faults = 0;
        partition.FailFetch = _ => faults++ < 3 ? new TimeoutException("no answer") : null;
        partition.Put("a");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
    }

    [Fact]
    public async Task A_damaged_batch_stops_its_partition_and_no_other()
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, "x"u8.ToArray());
        long damaged = cluster.Partition("t", 0).Put(builder.Build(new RecordBatchOptions()).Span);
        cluster.Partition("t", 0).Damage(damaged, batch => batch[^2] ^= 1);
        cluster.Partition("t", 0).Put("after");
        cluster.Partition("t", 1).Put("fine");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0), new TopicPartitionOffset("t", 1, 0));
        var values = new List<string?>();
        ConsumeException? e = null;
        while (e is null || values.Count == 0)
        {
            try
            {
                values.AddRange((await consumer.PollAsync(Forever, Bound)).Select(r => r.Value));
            }
            catch (ConsumeException caught)
            {
                e = caught;
            }
        }

        Assert.Equal(["fine"], values);
        Assert.Equal((ErrorCode.CorruptMessage, new TopicPartition("t", 0), 0L), (e.Code, e.Partition, e.Offset));
        Assert.Contains("CRC", e.Message, StringComparison.Ordinal);
        consumer.Seek(e.Partition, e.Offset + 1);
        Assert.Equal("after", Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
    }

    [Fact]
    public async Task A_record_that_cannot_be_read_throws_once_and_is_passed_over()
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, new byte[] { 0, 0, 0, 1 });
        builder.Append(1, null, new byte[] { 1 });
        builder.Append(1, null, new byte[] { 0, 0, 0, 3 });
        cluster.Partition("t", 0).Put(builder.Build(new RecordBatchOptions()).Span);
        await using IConsumer<string, int> consumer = cluster.Client.CreateConsumer<string, int>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal(1, Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
        RecordSerializationException e = await Assert.ThrowsAsync<RecordSerializationException>(
            () => consumer.PollAsync(Forever, Bound).AsTask());
        Assert.Equal((new TopicPartition("t", 0), 1L), (e.Partition!.Value, e.Offset));
        Assert.Equal(3, Assert.Single(await consumer.PollAsync(Forever, Bound)).Value);
    }
}
