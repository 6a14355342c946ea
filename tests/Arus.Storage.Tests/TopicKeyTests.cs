using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>Keys of a topic that say how its files are written, each by what it changes.</summary>
public sealed class TopicKeyTests
{
    private const string Small = "internal.segment.bytes";

    [Fact]
    public async Task Flush_messages_syncs_after_so_many_records_before_they_are_acknowledged()
    {
        var disk = new CountingFileSystem(new MemoryFileSystem());
        await using LogFixture fixture = WithPolicy(disk, FlushPolicy.Os);
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("flush.messages", "3")));
        await log.MustAppendAsync(Batches.Of("a"));
        await log.MustAppendAsync(Batches.Of("b"));
        Assert.Equal(0, disk.SegmentFlushes);
        await log.MustAppendAsync(Batches.Of("c"));
        Assert.Equal(1, disk.SegmentFlushes);
        await log.MustAppendAsync(Batches.Of("d", "e", "f", "g"));
        Assert.Equal(2, disk.SegmentFlushes);
    }

    [Fact]
    public async Task Flush_ms_syncs_after_a_time()
    {
        var disk = new CountingFileSystem(new MemoryFileSystem());
        await using LogFixture fixture = WithPolicy(disk, FlushPolicy.Os);
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("flush.ms", "1000")));
        await log.MustAppendAsync(Batches.Of("a"));
        fixture.Time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.Equal(0, disk.SegmentFlushes);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await UntilAsync(() => disk.SegmentFlushes == 1);
    }

    [Fact]
    public async Task File_delete_delay_ms_keeps_the_file_of_a_removed_segment_for_a_time()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(
            LogExtensions.Config((Small, "200"), ("retention.bytes", "200"), ("file.delete.delay.ms", "5000")));
        for (int i = 0; i < 20; i++)
            await log.MustAppendAsync(Batches.Of($"value {i}"));

        await log.MaintainAsync();
        Assert.InRange(Deleted(), 1, 100);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(4999));
        Assert.InRange(Deleted(), 1, 100);
        fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await UntilAsync(() => Deleted() == 0);

        int Deleted() => fixture.FileSystem.ListFiles(fixture.Directory).Count(name => name.EndsWith(".deleted", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Segment_jitter_ms_lets_segments_roll_at_different_times_before_their_age()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("segment.ms", "1000"), ("segment.jitter.ms", "900")));
        var ages = new HashSet<int>();
        long time = Batches.Time; // A segment's age is that of its records.
        await log.MustAppendAsync(Batches.Sized(100, time));
        for (int roll = 0; roll < 10; roll++)
        {
            int segments = log.SegmentCount;
            int age = 0;
            while (log.SegmentCount == segments)
            {
                age += 50;
                time += 50;
                await log.MustAppendAsync(Batches.Sized(100, time));
            }

            Assert.InRange(age, 100, 1050);
            ages.Add(age);
        }

        Assert.InRange(ages.Count, 3, 10);
    }

    [Fact]
    public async Task Segment_index_bytes_bounds_an_index_and_every_offset_is_found()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config((Small, "4096"), ("index.interval.bytes", "0"), ("segment.index.bytes", "160"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < 200; i++)
            await log.MustAppendAsync(Batches.Of($"value {i}"));

        Assert.True(log.SegmentCount > 2);
        log = await fixture.ReopenAsync(config);
        long[] sizes =
        [
            .. fixture.FileSystem.ListFiles(fixture.Directory).Where(name => name.EndsWith(".index", StringComparison.Ordinal))
                .Select(name => fixture.FileSystem.GetInfo(Path.Combine(fixture.Directory, name))!.Value.Length),
        ];
        Assert.NotEmpty(sizes);
        Assert.All(sizes, size => Assert.InRange(size, 1, 320));
        for (int i = 0; i < 200; i += 7)
            Assert.Equal($"value {i}", (await log.ReadValuesAsync(i))[0]);
    }

    [Fact]
    public async Task Preallocate_reserves_a_segment_and_gives_back_what_a_full_one_does_not_need()
    {
        var disk = new CountingFileSystem(new MemoryFileSystem());
        await using LogFixture fixture = WithPolicy(disk, FlushPolicy.Always);
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config((Small, "1000"), ("preallocate", "true")));
        await log.MustAppendAsync(Batches.Of("a"));
        Assert.Equal(1000, disk.Preallocated);
        for (int i = 0; log.SegmentCount < 4; i++)
            await log.MustAppendAsync(Batches.Of($"value {i}"));

        await UntilAsync(() => disk.Preallocated == 1000);
    }

    [Fact]
    public void A_file_of_the_disk_keeps_its_length_when_it_is_preallocated()
    {
        string path = Path.GetTempFileName();
        using (ILogFile file = new PhysicalFileSystem().Open(path, create: true))
        {
            file.Preallocate(1 << 20);
            Assert.Equal(0, file.Length);
            file.Write(0, [new byte[] { 1, 2, 3 }]);
            file.SetLength(3);
            Assert.Equal(3, file.Length);
        }

        File.Delete(path);
    }

    [Fact]
    public async Task Log_cleaner_enable_switches_compaction_off()
    {
        await using var fixture = new LogFixture();
        var own = new Dictionary<string, string>
        {
            ["cleanup.policy"] = "compact", [Small] = "200", ["min.cleanable.dirty.ratio"] = "0",
        };
        TopicConfig off = TopicConfig.Resolve(own, BrokerConfig.Of(("log.cleaner.enable", "false")));
        IPartitionLog log = await fixture.OpenAsync(off);
        for (int i = 0; i < 40; i++)
            await log.MustAppendAsync(Batches.Keyed(("key", $"value {i}")));

        Assert.Equal(0, (await log.MaintainAsync()).SegmentsCompacted);
        log.Reconfigure(TopicConfig.Resolve(own, BrokerConfig.Default));
        await Eventually.AsksAsync(
            async () => (await log.MaintainAsync()).SegmentsCompacted, compacted => compacted > 0, _ => false, TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task An_empty_cleanup_policy_removes_nothing()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(
            LogExtensions.Config((Small, "200"), ("cleanup.policy", ""), ("retention.ms", "1"), ("retention.bytes", "1")));
        for (int i = 0; i < 40; i++)
            await log.MustAppendAsync(Batches.Of($"value {i}"));

        fixture.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(0, (await log.MaintainAsync()).SegmentsDeleted);
        Assert.Equal(0, log.LogStartOffset);
    }

    private static Task UntilAsync(Func<bool> condition) =>
        Eventually.AsksAsync(() => Task.FromResult(condition()), done => done, _ => false, TimeSpan.FromSeconds(30));

    private static LogFixture WithPolicy(ILogFileSystem disk, FlushPolicy policy)
    {
        var fixture = new LogFixture { FileSystem = disk };
        fixture.Options = fixture.Options with { Flush = policy };
        return fixture;
    }
}
