namespace Arus.Storage.Tests;

/// <summary>Segments and directories of the log in files; what every log does is in the conformance suite.</summary>
public sealed class SegmentTests
{
    [Fact]
    public async Task Segments_roll_by_size_and_reads_cross_them()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < 50; i++)
            await log.MustAppendAsync(Batches.Of($"value {i}"));

        Assert.True(log.SegmentCount > 3);
        Assert.Equal(50, (await log.ReadAllAsync()).Count);

        log = await fixture.ReopenAsync(config);
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"value {i}"), await log.ReadValuesAsync());
        IReadOnlyList<string> files = fixture.FileSystem.ListFiles(fixture.Directory);
        Assert.Equal(files.Count(name => name.EndsWith(".log", StringComparison.Ordinal)), log.SegmentCount);
    }

    [Fact]
    public async Task A_segment_of_records_without_time_rolls_by_age()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("segment.ms", "1000")));
        await log.MustAppendAsync(Batches.Sized(100, RecordBatchHeader.NoTimestamp));
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1000));
        await log.MustAppendAsync(Batches.Sized(100, RecordBatchHeader.NoTimestamp));
        Assert.Equal(1, log.SegmentCount);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await log.MustAppendAsync(Batches.Sized(100, RecordBatchHeader.NoTimestamp));
        Assert.Equal(2, log.SegmentCount);
    }

    [Fact]
    public async Task A_segment_of_records_that_the_log_stamps_rolls_by_age()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(
            LogExtensions.Config(("segment.ms", "1000"), ("message.timestamp.type", "LogAppendTime")));
        await log.MustAppendAsync(Batches.Of("a"));
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1000));
        await log.MustAppendAsync(Batches.Of("b"));
        Assert.Equal(1, log.SegmentCount);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await log.MustAppendAsync(Batches.Of("c"));
        Assert.Equal(2, log.SegmentCount);
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
