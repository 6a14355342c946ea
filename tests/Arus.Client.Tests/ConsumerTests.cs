using System.Text;
using System.Text.RegularExpressions;
using Arus.Compression;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Client.Tests;

public class ConsumerTests
{
    private static readonly TimeSpan Forever = Timeout.InfiniteTimeSpan;
    private static readonly ConsumerOptions Plain = new() { RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };
    private static readonly ConsumerOptions Grouped = Plain with { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest };

    [Fact]
    public async Task Reads_from_the_beginning_and_knows_where_it_is()
    {
        var cluster = new FakeCluster();
        FakePartition partition = cluster.Partition("t", 0);
        partition.Append("a", "b");
        partition.Append("c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, TopicPartitionOffset.Beginning));
        var read = new List<ConsumeResult<string, string>>();
        while (read.Count < 3)
        {
            read.AddRange(await consumer.PollAsync(Forever));
        }

        Assert.Equal([(0L, "ka", "a"), (1L, "kb", "b"), (2L, "kc", "c")], read.Select(r => (r.Offset, r.Key, r.Value)));
        Assert.Equal(1_000, read[0].TimestampMs);
        Assert.Equal(3, consumer.Position(new("t", 0)));
        Assert.Equal(0, consumer.Lag(new("t", 0)));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever).AsTask();
        partition.Append("d");
        Assert.Equal("d", Assert.Single(await waiting).Value);
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Zstd)]
    public async Task Gives_no_more_records_than_asked_for_and_reads_headers(CompressionType codec)
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < 10; i++)
        {
            builder.Append(i, null, Encoding.UTF8.GetBytes($"{i}"), [new("h", Encoding.UTF8.GetBytes($"x{i}")), new("null", null)]);
        }

        cluster.Partition("t", 0).AppendRaw(builder.Build(new RecordBatchOptions { Compression = codec }).Span);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain with { MaxPollRecords = 4 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        var sizes = new List<int>();
        int next = 0;
        while (next < 10)
        {
            IReadOnlyList<ConsumeResult<string, string>> records = await consumer.PollAsync(Forever);
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
        FakePartition partition = cluster.Partition("t", 0);
        partition.Append("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, TopicPartitionOffset.End));
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever).AsTask();
        consumer.Seek(new("t", 0), 1);
        Assert.Equal(["b", "c"], (await waiting).Select(r => r.Value));
        consumer.Seek(new("t", 0), TopicPartitionOffset.Beginning);
        Assert.Equal(["a", "b", "c"], (await consumer.PollAsync(Forever)).Select(r => r.Value));
        Assert.Throws<ArgumentOutOfRangeException>(() => consumer.Seek(new("t", 0), -5));
        Assert.Throws<InvalidOperationException>(() => consumer.Seek(new("t", 1), 0));
    }

    [Fact]
    public async Task Delivers_nothing_of_a_paused_partition()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a");
        cluster.Partition("t", 1).Append("b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0), new TopicPartitionOffset("t", 1, 0));
        consumer.Pause(new TopicPartition("t", 0));
        Assert.Equal("b", Assert.Single(await consumer.PollAsync(Forever)).Value);
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        consumer.Resume(new TopicPartition("t", 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever)).Value);
    }

    [Fact]
    public async Task Resets_an_offset_that_is_gone_as_configured()
    {
        var cluster = new FakeCluster();
        FakePartition partition = cluster.Partition("t", 0);
        partition.Append("a", "b");
        partition.Append("c");
        partition.LogStart = 2;
        await using IConsumer<string, string> earliest = cluster.Client.CreateConsumer<string, string>(Plain with { AutoOffsetReset = AutoOffsetReset.Earliest });
        earliest.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("c", Assert.Single(await earliest.PollAsync(Forever)).Value);

        await using IConsumer<string, string> none = cluster.Client.CreateConsumer<string, string>(Plain with { AutoOffsetReset = AutoOffsetReset.None });
        none.Assign(new TopicPartitionOffset("t", 0, 0));
        ConsumeException e = await Assert.ThrowsAsync<ConsumeException>(() => none.PollAsync(Forever).AsTask());
        Assert.Equal(ErrorCode.OffsetOutOfRange, e.Code);
        none.Seek(new("t", 0), 2);
        Assert.Equal("c", Assert.Single(await none.PollAsync(Forever)).Value);
    }

    [Theory]
    [InlineData(AutoOffsetReset.Earliest)]
    [InlineData(AutoOffsetReset.None)]
    public async Task Delivers_what_it_has_before_it_resets(AutoOffsetReset reset)
    {
        var cluster = new FakeCluster();
        FakePartition partition = cluster.Partition("t", 0);
        partition.Append("a", "b", "c");
        partition.Append("d");
        partition.Append("e");
        var refused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        partition.FailFetch = request =>
        {
            // All but the last record is deleted while the first three are buffered.
            partition.LogStart = request.Offset >= 3 ? 4 : 0;
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
                values.AddRange((await consumer.PollAsync(Forever)).Select(r => r.Value));
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
        FakePartition partition = cluster.Partition("t", 0);
        partition.Append("a");
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, "x"u8.ToArray());
        byte[] damaged = builder.Build(new RecordBatchOptions()).ToArray();
        damaged[8] = 0x80; // A length below 0.
        partition.AppendRaw(damaged);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever)).Value);
        ConsumeException e = await Assert.ThrowsAsync<ConsumeException>(() => consumer.PollAsync(Forever).AsTask());
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
        FakePartition partition = cluster.Partition("t", 0);
        int faults = 0;
        partition.FailFetch = _ => faults++ < 3 ? new TimeoutException("no answer") : null;
        partition.Append("a");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", Assert.Single(await consumer.PollAsync(Forever)).Value);
    }

    [Fact]
    public async Task A_damaged_batch_stops_its_partition_and_no_other()
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, "x"u8.ToArray());
        byte[] damaged = builder.Build(new RecordBatchOptions()).ToArray();
        damaged[^2] ^= 1;
        cluster.Partition("t", 0).AppendRaw(damaged);
        cluster.Partition("t", 0).Append("after");
        cluster.Partition("t", 1).Append("fine");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0), new TopicPartitionOffset("t", 1, 0));
        var values = new List<string?>();
        ConsumeException? e = null;
        while (e is null || values.Count == 0)
        {
            try
            {
                values.AddRange((await consumer.PollAsync(Forever)).Select(r => r.Value));
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
        Assert.Equal("after", Assert.Single(await consumer.PollAsync(Forever)).Value);
    }

    [Fact]
    public async Task A_record_that_cannot_be_read_throws_once_and_is_passed_over()
    {
        var cluster = new FakeCluster();
        using var builder = new RecordBatchBuilder();
        builder.Append(1, null, new byte[] { 0, 0, 0, 1 });
        builder.Append(1, null, new byte[] { 1 });
        builder.Append(1, null, new byte[] { 0, 0, 0, 3 });
        cluster.Partition("t", 0).AppendRaw(builder.Build(new RecordBatchOptions()).Span);
        await using IConsumer<string, int> consumer = cluster.Client.CreateConsumer<string, int>(Plain);
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal(1, Assert.Single(await consumer.PollAsync(Forever)).Value);
        RecordSerializationException e = await Assert.ThrowsAsync<RecordSerializationException>(() => consumer.PollAsync(Forever).AsTask());
        Assert.Equal((new TopicPartition("t", 0), 1L), (e.Partition!.Value, e.Offset));
        Assert.Equal(3, Assert.Single(await consumer.PollAsync(Forever)).Value);
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
    public async Task A_member_begins_at_committed_offsets_and_commits_what_was_processed()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b", "c");
        cluster.Partition("t", 1).Append("d");
        cluster.Commit("t", 0, 1);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("t");
        Assert.Equal(["t"], cluster.Membership!.Topics);
        await cluster.Membership.AssignAsync(new("t", 0), new("t", 1));
        var values = new List<string?>();
        while (values.Count < 3)
        {
            values.AddRange((await consumer.PollAsync(Forever)).Select(r => r.Value));
        }

        Assert.Equal(["b", "c", "d"], values.Order());
        await consumer.CommitAsync();
        Assert.Equal((3, 1), (cluster.CommittedOffset("t", 0), cluster.CommittedOffset("t", 1)));
        await consumer.CommitAsync([new TopicPartitionOffset("t", 0, 2)]);
        Assert.Equal(2, (await consumer.CommittedAsync([new("t", 0)]))[0].Offset);

        cluster.CommitError = ErrorCode.IllegalGeneration;
        CommitFailedException e = await Assert.ThrowsAsync<CommitFailedException>(() => consumer.CommitAsync([new TopicPartitionOffset("t", 0, 3)]));
        Assert.Equal(ErrorCode.IllegalGeneration, e.Code);
        Assert.Equal([ErrorCode.IllegalGeneration], cluster.Membership.ReportedErrors);
    }

    [Fact]
    public async Task Gives_a_partition_up_only_when_its_records_are_processed_and_commits_them()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Equal(2, (await consumer.PollAsync(Forever)).Count);
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Assert.False(revoked.IsCompleted);
        Assert.Equal(-1, cluster.CommittedOffset("t", 0));

        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        await revoked;
        Assert.Equal(2, cluster.CommittedOffset("t", 0));
        Assert.Empty(consumer.Assignment);
    }

    [Fact]
    public async Task Gives_a_partition_up_although_its_last_commit_fails_unexpectedly()
    {
        var cluster = new FakeCluster { CommitFault = new IOException("No space left on device") };
        cluster.Partition("t", 0).Append("a");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Single(await consumer.PollAsync(Forever));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        await cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Assert.Null(cluster.CommitFault);
        Assert.Empty(consumer.Assignment);
    }

    [Fact]
    public async Task Auto_commit_goes_by_what_was_processed_not_by_what_was_delivered()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.Partition("t", 0).Append("a", "b", "c");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        await using IAsyncEnumerator<ConsumeResult<string, string>> records = consumer.ConsumeAsync().GetAsyncEnumerator();
        Assert.True(await records.MoveNextAsync());
        Assert.True(await records.MoveNextAsync());
        Assert.Equal("b", records.Current.Value);
        Assert.Equal(2, consumer.Position(new("t", 0)));

        // The first record is processed, since the second was asked for; the second is not.
        await consumer.DisposeAsync();
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
        Assert.True(cluster.Membership.HasLeft);
    }

    [Fact]
    public async Task Auto_commit_goes_on_after_a_coordinator_fails_unexpectedly()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time) { CommitFault = new IOException("No space left on device") };
        cluster.Partition("t", 0).Append("a");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Single(await consumer.PollAsync(Forever));
        Assert.Empty(await consumer.PollAsync(TimeSpan.Zero));
        while (cluster.CommitFault is not null)
        {
            time.Advance(Grouped.AutoCommitInterval);
            await Task.Yield();
        }

        await consumer.DisposeAsync();
        Assert.True(cluster.Membership.HasLeft);
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task Auto_commit_does_not_take_back_what_was_committed_by_hand()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b");
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        Assert.Equal(2, (await consumer.PollAsync(Forever)).Count);
        await consumer.CommitAsync();
        await consumer.DisposeAsync();
        Assert.Equal(2, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task Enumerating_drops_records_of_a_partition_that_is_taken_away_meanwhile()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        using var stop = new CancellationTokenSource();
        await using IAsyncEnumerator<ConsumeResult<string, string>> records = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator(CancellationToken.None);
        Assert.True(await records.MoveNextAsync());
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        Task<bool> next = records.MoveNextAsync().AsTask();
        await revoked;
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
    }

    [Fact]
    public async Task A_cancelled_enumeration_lets_go_of_a_partition_that_is_to_be_given_up()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        await cluster.Membership!.AssignAsync(new TopicPartition("t", 0));
        using var stop = new CancellationTokenSource();
        await using IAsyncEnumerator<ConsumeResult<string, string>> records = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator(CancellationToken.None);
        Assert.True(await records.MoveNextAsync());
        Task revoked = cluster.Membership.RevokeAsync(new TopicPartition("t", 0));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => records.MoveNextAsync().AsTask());
        await revoked;
        Assert.Equal(1, cluster.CommittedOffset("t", 0));
    }

    [Fact]
    public async Task A_poll_that_waits_hears_that_the_membership_is_over()
    {
        var cluster = new FakeCluster();
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped);
        consumer.Subscribe("t");
        Task<IReadOnlyList<ConsumeResult<string, string>>> waiting = consumer.PollAsync(Forever).AsTask();
        cluster.Membership!.End(new ArusException(ErrorCode.FencedInstanceId, "another one has it"));
        Assert.Equal(ErrorCode.FencedInstanceId, (await Assert.ThrowsAsync<ArusException>(() => waiting)).Code);
    }

    [Fact]
    public async Task Asks_for_a_rebalance_when_a_topic_gets_partitions()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("t", 1);
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("t");
        await time.WaitForArmedTimersAsync(1);
        cluster.AddTopic("t", 2);
        Assert.False(cluster.Membership!.Rejoin.Task.IsCompleted);
        time.Advance(TimeSpan.FromMinutes(5));
        await cluster.Membership.Rejoin.Task;
        await consumer.DisposeAsync();
    }

    [Fact]
    public async Task A_pattern_joins_topics_that_come_later()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("other", 1);
        cluster.AddTopic("orders.internal", 1, isInternal: true);
        IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe(new Regex("^orders"));
        await time.WaitForArmedTimersAsync(1);
        Assert.Empty(cluster.Membership!.Topics);

        cluster.AddTopic("orders.eu", 1);
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(["orders.eu"], await cluster.Membership.Subscriptions.Reader.ReadAsync());

        await time.WaitForArmedTimersAsync(1);
        cluster.AddTopic("orders.asia", 2);
        time.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(["orders.asia", "orders.eu"], await cluster.Membership.Subscriptions.Reader.ReadAsync());

        // Another subscription takes the pattern's place.
        await time.WaitForArmedTimersAsync(1);
        consumer.Subscribe("other");
        Assert.Equal(["other"], await cluster.Membership.Subscriptions.Reader.ReadAsync());
        cluster.AddTopic("orders.africa", 1);
        time.Advance(TimeSpan.FromMinutes(5));
        consumer.Subscribe(new Regex("er$"));
        await time.WaitForArmedTimersAsync(1);
        Assert.Equal(["other"], cluster.Membership.Topics);
        await consumer.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Task.Run(() => consumer.Subscribe(new Regex("x"))));
    }

    [Fact]
    public async Task A_pattern_that_matches_nothing_replaces_the_subscription_before_it()
    {
        var time = new ManualTimeProvider();
        var cluster = new FakeCluster(time);
        cluster.AddTopic("a", 1);
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Grouped with { EnableAutoCommit = false });
        consumer.Subscribe("a");
        FakeMembership membership = cluster.Membership!;
        Assert.Equal(["a"], await NextAsync());
        consumer.Subscribe(new Regex("^b"));
        Assert.Empty(await NextAsync());

        // A pattern's place is taken by another, too.
        consumer.Subscribe(new Regex("^a"));
        Assert.Equal(["a"], await NextAsync());
        consumer.Subscribe(new Regex("^c"));
        Assert.Empty(await NextAsync());
        Assert.False(membership.HasLeft);

        Task<IReadOnlyCollection<string>> NextAsync() =>
            membership.Subscriptions.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Finds_offsets_by_time()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain);
        IReadOnlyList<TopicPartitionOffset> found =
            await consumer.OffsetsForTimeAsync([new("t", 0)], DateTimeOffset.FromUnixTimeMilliseconds(500));
        Assert.Equal([new TopicPartitionOffset("t", 0, 0)], found);
        Assert.Equal(TopicPartitionOffset.End, (await consumer.OffsetsForTimeAsync([new("t", 0)], DateTimeOffset.UnixEpoch.AddYears(60)))[0].Offset);
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
        FakePartition partition = cluster.Partition("t", 0);
        for (int i = 0; i < 100; i++)
        {
            partition.Append(new string('x', 1000));
        }

        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(
            Plain with { FetchMaxBytes = 3_000, MaxPartitionFetchBytes = 2_000, MaxPollRecords = 1 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Single(await consumer.PollAsync(Forever));
        int read = 1;
        while (read < 100)
        {
            read += (await consumer.PollAsync(Forever)).Count;
            Assert.InRange(partition.Fetches, 0, read + 4);
        }
    }

    [Fact]
    public async Task An_enumeration_that_is_left_loses_and_repeats_nothing()
    {
        var cluster = new FakeCluster();
        cluster.Partition("t", 0).Append("a", "b", "c");
        await using IConsumer<string, string> consumer = cluster.Client.CreateConsumer<string, string>(Plain with { MaxPollRecords = 3 });
        consumer.Assign(new TopicPartitionOffset("t", 0, 0));
        Assert.Equal("a", await FirstAsync());
        Assert.Equal(1, consumer.Position(new("t", 0)));
        Assert.Equal("b", await FirstAsync());
        Assert.Equal(["c"], (await consumer.PollAsync(Forever)).Select(r => r.Value));

        async Task<string?> FirstAsync()
        {
            await foreach (ConsumeResult<string, string> record in consumer.ConsumeAsync())
            {
                return record.Value;
            }

            return null;
        }
    }
}
