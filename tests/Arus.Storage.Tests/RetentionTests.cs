using Arus.Compression;

namespace Arus.Storage.Tests;

public sealed class RetentionTests
{
    private static long Now(LogFixture fixture) => fixture.Time.GetUtcNow().ToUnixTimeMilliseconds();

    private static async Task FillAsync(LogFixture fixture, IPartitionLog log, int count)
    {
        for (int i = 0; i < count; i++)
        {
            await log.MustAppendAsync(Batches.Sized(400, Now(fixture)));
        }
    }

    [Fact]
    public async Task Segments_whose_last_record_is_too_old_go_and_the_offsets_stay()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"), ("retention.ms", "60000"));
        IPartitionLog log = await fixture.OpenAsync(config);
        await FillAsync(fixture, log, 6);
        fixture.Time.Advance(TimeSpan.FromSeconds(50));
        await FillAsync(fixture, log, 6);
        Assert.Equal(0, (await log.MaintainAsync()).SegmentsDeleted);
        fixture.Time.Advance(TimeSpan.FromSeconds(11));
        LogMaintenanceResult result = await log.MaintainAsync();
        Assert.Equal((3, 2400), (result.SegmentsDeleted, result.BytesFreed));
        Assert.Equal((6, 12), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(5, 100, true)).Error);

        fixture.Time.Advance(TimeSpan.FromSeconds(60));
        await log.MaintainAsync();
        Assert.Equal((12, 12, 1, 0), (log.LogStartOffset, log.LogEndOffset, log.SegmentCount, log.SizeBytes));
        log = await fixture.ReopenAsync(config);
        Assert.Equal((12, 12), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(12, await log.MustAppendAsync(Batches.Of("next")));
    }

    [Fact]
    public async Task Segments_beyond_the_size_go_while_that_much_stays()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(LogExtensions.Config(("segment.bytes", "1024"), ("retention.bytes", "2000")));
        await FillAsync(fixture, log, 10);
        await log.MaintainAsync();
        Assert.Equal((4, 2400), (log.LogStartOffset, log.SizeBytes));
    }

    [Fact]
    public async Task DeleteRecords_moves_the_start_durably_within_a_segment()
    {
        var machine = new Machine();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"));
        IPartitionLog log = await machine.OpenAsync(config);
        for (int i = 0; i < 10; i++)
        {
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Sized(400)], 1));
        }

        LogDeleteResult result = await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(5));
        Assert.Equal((ErrorCode.None, 5L), (result.Error, result.LogStartOffset));
        Assert.Equal(3, log.SegmentCount);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(11))).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(4, 100, true)).Error);
        machine.Crash(new Random(3));
        log = await machine.OpenAsync(config);
        Assert.Equal((5, 10), (log.LogStartOffset, log.LogEndOffset));
        result = await machine.Scheduler.RunAsync(log.DeleteRecordsAsync(-1));
        Assert.Equal(10, result.LogStartOffset);
    }

    [Fact]
    public async Task Truncation_cuts_whole_batches_and_epochs()
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < 30; i++)
        {
            await log.MustAppendAsync(Batches.Of($"{i} a", $"{i} b"), epoch: 1 + (i / 10));
        }

        await log.TruncateToAsync(45);
        Assert.Equal((44, 44, 3), (log.LogEndOffset, log.HighWatermark, log.LatestEpoch));
        await log.TruncateToAsync(10);
        Assert.Equal((10, 1), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal(10, await log.MustAppendAsync(Batches.Of("new"), epoch: 5));
        log = await fixture.ReopenAsync(config);
        Assert.Equal(["0 a", "0 b", "1 a", "1 b", "2 a", "2 b", "3 a", "3 b", "4 a", "4 b", "new"], await log.ReadValuesAsync());
        await log.TruncateToAsync(0);
        Assert.Equal((0, 0, -1), (log.LogStartOffset, log.LogEndOffset, log.LatestEpoch));
    }

    [Fact]
    public async Task The_end_of_each_epoch_is_known_after_a_restart_too()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync();
        Assert.Equal(new LogEpochEnd(-1, -1), log.EpochEnd(0));
        await log.MustAppendAsync(Batches.Of("a", "b"), epoch: 2);
        await log.MustAppendAsync(Batches.Of("c"), epoch: 5);
        await log.MustAppendAsync(Batches.Of("d"), epoch: 5);
        Check(log);
        Check(await fixture.ReopenAsync());

        static void Check(IPartitionLog log)
        {
            Assert.Equal(new LogEpochEnd(1, 0), log.EpochEnd(1));
            Assert.Equal(new LogEpochEnd(2, 2), log.EpochEnd(2));
            Assert.Equal(new LogEpochEnd(2, 2), log.EpochEnd(4));
            Assert.Equal(new LogEpochEnd(5, 4), log.EpochEnd(5));
            Assert.Equal(new LogEpochEnd(-1, -1), log.EpochEnd(6));
        }
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task Records_are_found_by_time_inside_batches(CompressionType compression)
    {
        await using var fixture = new LogFixture();
        TopicConfig config = LogExtensions.Config(("segment.bytes", "1024"), ("index.interval.bytes", "0"));
        IPartitionLog log = await fixture.OpenAsync(config);
        for (int i = 0; i < 40; i++)
        {
            // Records at 0, 10, 20, 30 … ms, three to a batch.
            int at = i * 30;
            await log.MustAppendAsync(Batches.Build(
                [(null, "x"), (null, "y"), (null, "z")], new RecordBatchOptions { Compression = compression }, index => Batches.Time + at + (index * 10)));
        }

        await Check(log);
        await Check(await fixture.ReopenAsync(config));

        static async Task Check(IPartitionLog log)
        {
            Assert.Equal(new LogTimestamp(0, Batches.Time, 1), await log.FindByTimestampAsync(0));
            Assert.Equal(new LogTimestamp(50, Batches.Time + 500, 1), await log.FindByTimestampAsync(Batches.Time + 500));
            Assert.Equal(new LogTimestamp(52, Batches.Time + 520, 1), await log.FindByTimestampAsync(Batches.Time + 511));
            Assert.Equal(new LogTimestamp(119, Batches.Time + 1190, 1), await log.FindByTimestampAsync(Batches.Time + 1190));
            Assert.Null(await log.FindByTimestampAsync(Batches.Time + 1191));
            Assert.Equal(new LogTimestamp(119, Batches.Time + 1190, 1), await log.FindMaxTimestampAsync());
        }
    }

    [Fact]
    public async Task Idle_logs_give_their_cache_back_and_few_files_stay_open()
    {
        await using var fixture = new LogFixture();
        fixture.Options = fixture.Options with { CacheBytes = 64 * 1024, MaxOpenFiles = 8 };
        var logs = new List<IPartitionLog>();
        for (int i = 0; i < 50; i++)
        {
            logs.Add(await fixture.OpenAsync(partition: new TopicPartition("many", i)));
            await logs[i].MustAppendAsync(Batches.Of($"{i}"));
        }

        Assert.InRange(fixture.Provider!.CachedBytes, 1, 64 * 1024);
        Assert.InRange(fixture.Provider.OpenFiles, 1, 8);
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal([$"{i}"], await logs[i].ReadValuesAsync());
        }

        Assert.InRange(fixture.Provider.OpenFiles, 1, 8);
    }
}
