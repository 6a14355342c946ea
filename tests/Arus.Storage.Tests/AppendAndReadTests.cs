namespace Arus.Storage.Tests;

public sealed class AppendAndReadTests
{
    [Fact]
    public async Task Records_get_consecutive_offsets_and_are_read_back()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();

        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("a", "b")));
        Assert.Equal(2, await log.MustAppendAsync(Batches.Of("c"), epoch: 7));

        Assert.Equal((0, 3, 3), (log.LogStartOffset, log.HighWatermark, log.LogEndOffset));
        Assert.Equal(7, log.LatestEpoch);
        Assert.Equal([(0, null, "a"), (1, null, "b"), (2, null, "c")], await log.ReadAllAsync());
        Assert.Equal(["b", "c"], await log.ReadValuesAsync(1));
    }

    [Fact]
    public async Task Base_offset_and_epoch_are_written_and_the_rest_is_kept()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        ReadOnlyMemory<byte> sent = Batches.Of("b", "c");
        await log.MustAppendAsync(sent, epoch: 3);

        LogReadResult read = await log.ReadAsync(1, 1 << 20, minOneBatch: true);
        byte[] expected = sent.ToArray();
        RecordBatches.SetBaseOffset(expected, 1);
        RecordBatches.SetPartitionLeaderEpoch(expected, 3);
        Assert.Equal(expected, read.Records.Single().ToArray());
    }

    [Fact]
    public async Task What_was_appended_survives_a_restart()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        for (int i = 0; i < 100; i++)
        {
            await log.MustAppendAsync(Batches.Of($"{i}"));
        }

        log = await fixture.ReopenAsync();
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), await log.ReadValuesAsync());
        Assert.Equal(100, await log.MustAppendAsync(Batches.Of("more")));
        Assert.Equal("more", (await log.ReadValuesAsync()).Last());
        Assert.Empty(fixture.Events);
    }

    [Fact]
    public async Task Pipelined_appends_keep_their_order_and_share_group_commits()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        var appends = Enumerable.Range(0, 1000).Select(i => log.AppendAsync([Batches.Of($"{i}")], 1).AsTask()).ToArray();
        LogAppendResult[][] results = await Task.WhenAll(appends);

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (long)i), results.Select(result => result[0].BaseOffset));
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $"{i}"), await log.ReadValuesAsync());
    }

    [Fact]
    public async Task Segments_roll_by_size_and_reads_cross_them()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < 50; i++)
        {
            await log.MustAppendAsync(Batches.Of($"value {i}"));
        }

        Assert.True(log.SegmentCount > 3);
        Assert.Equal(50, (await log.ReadAllAsync()).Count);

        log = await fixture.ReopenAsync(config);
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"value {i}"), await log.ReadValuesAsync());
        Assert.Equal(fixture.FileSystem.ListFiles(fixture.Directory).Count(name => name.EndsWith(".log", StringComparison.Ordinal)), log.SegmentCount);
    }

    [Fact]
    public async Task A_segment_rolls_by_age()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("segment.ms", "1000")));
        await log.MustAppendAsync(Batches.Of("a"));
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1000));
        await log.MustAppendAsync(Batches.Of("b"));
        Assert.Equal(1, log.SegmentCount);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await log.MustAppendAsync(Batches.Of("c"));
        Assert.Equal(2, log.SegmentCount);
    }

    [Fact]
    public async Task Reads_obey_the_byte_limit_in_whole_batches()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        for (int i = 0; i < 10; i++)
        {
            await log.MustAppendAsync(Batches.Sized(100));
        }

        await Check(log);
        await Check(await fixture.ReopenAsync());

        static async Task Check(IPartitionLog log)
        {
            Assert.Equal(300, Length(await log.ReadAsync(2, 399, minOneBatch: false)));
            Assert.Equal(400, Length(await log.ReadAsync(2, 400, minOneBatch: false)));
            Assert.Equal(0, Length(await log.ReadAsync(2, 99, minOneBatch: false)));
            Assert.Equal(100, Length(await log.ReadAsync(2, 99, minOneBatch: true)));
            Assert.Equal(800, Length(await log.ReadAsync(2, int.MaxValue, minOneBatch: true)));
        }

        static int Length(LogReadResult result) => result.Records.Sum(slice => slice.Length);
    }

    [Fact]
    public async Task Offsets_outside_the_log_are_refused_and_its_end_is_empty()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));

        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(2, 100, true)).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(-1, 100, true)).Error);
        LogReadResult end = await log.ReadAsync(1, 100, true);
        Assert.Equal((ErrorCode.None, 0, 1L), (end.Error, end.Records.Length, end.HighWatermark));
    }

    [Fact]
    public async Task A_wait_ends_when_records_come_or_time_is_up_or_it_is_cancelled_or_the_log_closes()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        ValueTask<bool> arrival = log.WaitForAsync(0, TimeSpan.FromSeconds(1));
        ValueTask<bool> later = log.WaitForAsync(5, TimeSpan.FromSeconds(1));
        ValueTask<bool> closed = log.WaitForAsync(5, Timeout.InfiniteTimeSpan);
        using var cancellation = new CancellationTokenSource();
        ValueTask<bool> cancelled = log.WaitForAsync(5, TimeSpan.FromSeconds(1), cancellation.Token);
        Assert.False(arrival.IsCompleted);

        await log.MustAppendAsync(Batches.Of("a"));
        Assert.True(await arrival);
        Assert.True(await log.WaitForAsync(0, TimeSpan.Zero));
        Assert.False(await log.WaitForAsync(1, TimeSpan.Zero));
        await cancellation.CancelAsync();
        Assert.False(await cancelled);
        fixture.Time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await later);
        await log.DisposeAsync();
        Assert.False(await closed);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await log.AppendOneAsync(Batches.Of("b"))).Error);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await log.ReadAsync(0, 100, true)).Error);
    }

    [Fact]
    public async Task An_older_leader_epoch_is_fenced()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"), epoch: 5);
        Assert.Equal(ErrorCode.FencedLeaderEpoch, (await log.AppendOneAsync(Batches.Of("b"), epoch: 4)).Error);
        Assert.Equal(1, log.LogEndOffset);
    }

    [Fact]
    public async Task An_entry_is_appended_whole_or_not_at_all()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        byte[] good = [.. Batches.Of("a").Span, .. Batches.Of("b").Span];
        byte[] bad = [.. Batches.Of("c").Span, .. Batches.Of("d").Span];
        bad[^1] ^= 1;

        LogAppendResult[] results = await log.AppendAsync([good, bad, Batches.Of("e")], 1);
        Assert.Equal([ErrorCode.None, ErrorCode.CorruptMessage, ErrorCode.None], results.Select(result => result.Error));
        Assert.Equal([0, -1, 2], results.Select(result => result.BaseOffset));
        Assert.Equal(["a", "b", "e"], await log.ReadValuesAsync());
    }

    [Fact]
    public async Task LogAppendTime_stamps_the_batch_and_keeps_it_valid()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("message.timestamp.type", "LogAppendTime")));
        long now = fixture.Time.GetUtcNow().ToUnixTimeMilliseconds();
        LogAppendResult result = await log.AppendOneAsync(Batches.Of("a"));
        Assert.Equal(now, result.LogAppendTimeMs);
        LogReadResult read = await log.ReadAsync(0, 1000, true);
        Assert.Equal(now, new RecordBatchHeader(read.Records[0].Span).MaxTimestamp);
        Assert.Single(Batches.Records(read.Records));
    }

    [Fact]
    public async Task Nothing_is_created_on_disk_before_the_first_append()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
        await log.DisposeAsync();
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
    }

    [Fact]
    public async Task A_deleted_log_leaves_nothing_and_its_name_is_free()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        await log.DeleteAsync();
        log = await fixture.OpenAsync();
        Assert.Equal(0, log.LogEndOffset);
        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("b")));
        await fixture.CloseAsync();
        Assert.Single(fixture.FileSystem.ListDirectories("/logs"));
    }

    [Fact]
    public async Task A_log_of_another_topic_id_is_set_aside()
    {
        await using var fixture = new LogFixture();
        var first = new Guid(1, 2, 3, new byte[8]);
        IPartitionLog log = await fixture.OpenAsync(topicId: first);
        await log.MustAppendAsync(Batches.Of("old"));
        log = await fixture.ReopenAsync(topicId: first);
        Assert.Equal(1, log.LogEndOffset);
        log = await fixture.ReopenAsync(topicId: new Guid(9, 2, 3, new byte[8]));
        Assert.Equal(0, log.LogEndOffset);
        Assert.Equal(LogEventKind.SetAside, fixture.Events.Single().Kind);
        Assert.True(fixture.FileSystem.DirectoryExists("/logs/orders-0.1.stray"));
    }

    [Fact]
    public async Task Opening_again_closes_what_was_open()
    {
        await using var fixture = new LogFixture();
        IPartitionLog old = await fixture.OpenAsync();
        await old.MustAppendAsync(Batches.Of("a"));
        IPartitionLog log = await fixture.OpenAsync();
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await old.AppendOneAsync(Batches.Of("b"))).Error);
        Assert.Equal(1, await log.MustAppendAsync(Batches.Of("c"), epoch: 2));
        Assert.Equal(["a", "c"], await log.ReadValuesAsync());
    }
}
