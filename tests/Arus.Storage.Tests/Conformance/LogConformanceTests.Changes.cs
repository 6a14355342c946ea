using Arus.Compression;

namespace Arus.Storage.Tests.Conformance;

/// <content>Timestamps, and what changes records that are there: retention, deletion, truncation, compaction.</content>
public abstract partial class LogConformanceTests
{
    [Fact]
    public async Task LogAppendTime_stamps_the_batch_and_keeps_it_valid()
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("message.timestamp.type", "LogAppendTime")));
        host.Time.Advance(TimeSpan.FromSeconds(1));
        LogAppendResult result = await log.AppendOneAsync(Batches.Of("a"));
        Assert.Equal(NowMs, result.LogAppendTimeMs);
        LogReadResult read = await log.ReadAsync(0, 1000, true);
        Assert.Equal(NowMs, new RecordBatchHeader(read.Records[0].Span).MaxTimestamp);
        Assert.Single(Batches.Records(read.Records));
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task Records_are_found_by_time_inside_batches(CompressionType compression)
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("index.interval.bytes", "0"));
        IPartitionLog log = await host.OpenAsync(config);
        var options = new RecordBatchOptions { Compression = compression };
        for (int i = 0; i < 40; i++)
        {
            // Records at 0, 10, 20, 30 … ms, three to a batch.
            int at = i * 30;
            await log.MustAppendAsync(Batches.Build([(null, "x"), (null, "y"), (null, "z")], options, j => Batches.Time + at + (j * 10)));
        }

        await Check(log);
        await Check(await host.ReopenAsync(config));

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
    public async Task The_greatest_timestamp_is_that_of_a_record_behind_the_log_start()
    {
        IPartitionLog log = await host.OpenAsync();
        Assert.Null(await log.FindMaxTimestampAsync());
        await log.MustAppendAsync(Batches.Build([(null, "late"), (null, "early")], new RecordBatchOptions(), i => Batches.Time + 1000 - i));
        Assert.Equal(new LogTimestamp(0, Batches.Time + 1000, 1), await log.FindMaxTimestampAsync());
        await log.DeleteRecordsAsync(1);
        Assert.Equal(new LogTimestamp(1, Batches.Time + 999, 1), await log.FindMaxTimestampAsync());
        Assert.Null(await log.FindByTimestampAsync(Batches.Time + 1000));
    }

    /// <summary>Producers that leave the header's greatest timestamp unset, as sarama 1.22 does.</summary>
    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task A_greatest_timestamp_that_is_unset_is_set(CompressionType compression)
    {
        IPartitionLog log = await host.OpenAsync();
        for (int i = 0; i < 3; i++)
        {
            long time = Batches.Time + (1000 * i);
            var options = new RecordBatchOptions { Compression = compression };
            byte[] batch = Batches.Build([(null, "a"), (null, "b")], options, _ => time).ToArray();
            RecordBatches.SetCreateTime(batch, RecordBatchHeader.NoTimestamp);
            await log.MustAppendAsync(batch);
        }

        LogTimestamp? found = await log.FindByTimestampAsync(Batches.Time + 1500);
        Assert.Equal((4L, Batches.Time + 2000), (found?.Offset, found?.Timestamp));
        Assert.Equal(Batches.Time + 2000, (await log.FindMaxTimestampAsync())?.Timestamp);
        Assert.Equal(6, (await log.ReadAllAsync()).Count);
    }

    [Fact]
    public async Task Records_that_are_too_old_go_and_the_offsets_stay()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("retention.ms", "60000"));
        IPartitionLog log = await host.OpenAsync(config);
        await FillAsync(log, 6);
        host.Time.Advance(TimeSpan.FromSeconds(50));
        await FillAsync(log, 6);
        Assert.Equal(0, (await log.MaintainAsync()).SegmentsDeleted);
        int segments = log.SegmentCount;
        host.Time.Advance(TimeSpan.FromSeconds(11));
        LogMaintenanceResult result = await log.MaintainAsync();
        Assert.Equal((segments - log.SegmentCount, 2400), (result.SegmentsDeleted, result.BytesFreed));
        Assert.Equal((6, 12), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(5, 100, true)).Error);

        host.Time.Advance(TimeSpan.FromSeconds(60));
        await log.MaintainAsync();
        Assert.Equal((12, 12, 0), (log.LogStartOffset, log.LogEndOffset, log.SizeBytes));
        Assert.InRange(log.SegmentCount, 0, 1);
        log = await host.ReopenAsync(config);
        Assert.Equal((12, 12), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(12, await log.MustAppendAsync(Batches.Of("next")));
    }

    [Fact]
    public async Task Records_beyond_the_size_go_while_that_much_stays()
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("internal.segment.bytes", "1024"), ("retention.bytes", "2000")));
        await FillAsync(log, 10);
        long segment = log.SizeBytes / log.SegmentCount;
        Assert.Equal(4000, log.SizeBytes);
        await log.MaintainAsync();
        Assert.Equal(4000 - (2000 / segment * segment), log.SizeBytes);
        Assert.Equal(10 - (log.SizeBytes / 400), log.LogStartOffset);
    }

    [Fact]
    public async Task Nothing_stays_under_a_retention_of_no_bytes()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("retention.bytes", "0"));
        IPartitionLog log = await host.OpenAsync(config);
        await FillAsync(log, 5);
        await log.MaintainAsync();
        Assert.Equal((5, 5, 0), (log.LogStartOffset, log.LogEndOffset, log.SizeBytes));
        await log.MaintainAsync();
        Assert.Equal(5, await log.MustAppendAsync(Batches.Of("next")));
        Assert.Equal(["next"], await log.ReadValuesAsync());
        log = await host.ReopenAsync(config);
        Assert.Equal((5, 6), (log.LogStartOffset, log.LogEndOffset));
    }

    [Fact]
    public async Task Records_that_are_brought_in_late_expire_by_their_own_time()
    {
        (string, string) segment = ("segment.ms", "60000");
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(segment, ("retention.ms", "-1")));
        long now = host.Time.GetUtcNow().ToUnixTimeMilliseconds();
        for (int i = 0; i < 60; i++)
            await log.MustAppendAsync(Batches.Sized(400, now - (i < 30 ? 3_600_000 : 0)));

        await log.MaintainAsync();
        log.Reconfigure(LogExtensions.Config(segment, ("retention.ms", "600000")));
        await log.MaintainAsync();
        Assert.Equal((30, 60), (log.LogStartOffset, log.LogEndOffset));
    }

    [Fact]
    public async Task DeleteRecords_moves_the_start_for_good()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await host.OpenAsync(config);
        await FillAsync(log, 10);
        Assert.Equal(new LogDeleteResult(ErrorCode.None, 5), await log.DeleteRecordsAsync(5));
        Assert.Equal(new LogDeleteResult(ErrorCode.None, 5), await log.DeleteRecordsAsync(3));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.DeleteRecordsAsync(11)).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(4, 100, true)).Error);
        log = await host.ReopenAsync(config);
        Assert.Equal((5, 10), (log.LogStartOffset, log.LogEndOffset));
        Assert.Equal(new LogDeleteResult(ErrorCode.None, 10), await log.DeleteRecordsAsync(-1));
        Assert.Equal(10, await log.MustAppendAsync(Batches.Of("next")));
    }

    [Fact]
    public async Task Truncation_cuts_whole_batches_and_epochs()
    {
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"));
        IPartitionLog log = await host.OpenAsync(config);
        for (int i = 0; i < 30; i++)
            await log.MustAppendAsync(Batches.Of($"{i} a", $"{i} b"), epoch: 1 + (i / 10));

        await log.TruncateToAsync(45);
        Assert.Equal((44, 44, 3), (log.LogEndOffset, log.HighWatermark, log.LatestEpoch));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await log.ReadAsync(45, 100, true)).Error);
        await log.TruncateToAsync(10);
        Assert.Equal((10, 1), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal(10, await log.MustAppendAsync(Batches.Of("new"), epoch: 5));
        log = await host.ReopenAsync(config);
        Assert.Equal(["0 a", "0 b", "1 a", "1 b", "2 a", "2 b", "3 a", "3 b", "4 a", "4 b", "new"], await log.ReadValuesAsync());
        await log.TruncateToAsync(0);
        Assert.Equal((0, 0, -1), (log.LogStartOffset, log.LogEndOffset, log.LatestEpoch));
        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("first"), epoch: 6));
    }

    [Fact]
    public async Task A_log_in_one_copy_shows_consumers_all_that_is_durable()
    {
        IPartitionLog log = await host.OpenAsync();
        for (int epoch = 1; epoch <= 3; epoch++)
        {
            await log.MustAppendAsync(Batches.Of("a", "b"), epoch);
            Assert.Equal((2 * epoch, 2 * epoch), (log.DurableEndOffset, log.HighWatermark));
        }

        log.AdvanceHighWatermark(2, logStartOffset: 1);
        Assert.Equal((0, 6), (log.LogStartOffset, log.HighWatermark));
        Assert.Equal([new LogEpochStart(1, 0), new LogEpochStart(2, 2), new LogEpochStart(3, 4)], log.Epochs.ToArray());
        Assert.Equal(Guid.Empty, log.LogId);
        LogReadResult read = await log.ReadAsync(3, 1 << 20, minOneBatch: true, LogReadLimit.DurableEnd);
        Assert.Equal([2L, 3], Batches.Records(read.Records).Select(record => record.Offset).Take(2));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await log.PrepareAsync(4, truncateTo: 2, -1, renewLogId: false));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await log.PrepareAsync(4, -1, restartAt: 9, renewLogId: true));
    }

    [Fact]
    public async Task Producers_are_described_with_their_last_batch()
    {
        IPartitionLog log = await host.OpenAsync();
        Assert.Empty(await log.DescribeProducersAsync());
        await log.MustAppendAsync(Batches.Idempotent(7, 0, 0));
        await log.MustAppendAsync(Batches.Idempotent(9, 3, 5, count: 2));
        await log.MustAppendAsync(Batches.Idempotent(7, 1, 0));
        Assert.Equal(
            [(9L, 3, 6), (7L, 1, 0)],
            (await log.DescribeProducersAsync()).Select(producer => (producer.ProducerId, (int)producer.Epoch, producer.LastSequence)));
        Assert.All(await log.DescribeProducersAsync(), producer => Assert.True(producer.LastTimestamp >= Batches.Time));
    }

    [Fact]
    public async Task Truncation_takes_producers_back()
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("internal.segment.bytes", "1024")));
        for (int i = 0; i < 40; i++)
            await log.MustAppendAsync(Batches.Idempotent(1, 0, i));

        await log.TruncateToAsync(17);
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await log.AppendOneAsync(Batches.Idempotent(1, 0, 40))).Error);
        Assert.Equal(16, await log.MustAppendAsync(Batches.Idempotent(1, 0, 16)));
        Assert.Equal(17, await log.MustAppendAsync(Batches.Idempotent(1, 0, 17)));
    }

    [Fact]
    public async Task A_deleted_log_leaves_nothing_and_can_be_made_anew()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(Batches.Of("a"));
        await log.DeleteAsync();
        log = await host.OpenAsync();
        Assert.Equal((0, -1), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("b")));
        Assert.Equal(["b"], await log.ReadValuesAsync());
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    public async Task Compaction_leaves_the_last_record_of_each_key_at_its_offset(CompressionType compression)
    {
        IPartitionLog log = await host.OpenAsync(Compacted());
        for (int i = 0; i < 100; i++)
        {
            await log.MustAppendAsync(Batches.Build(
                [($"k{i % 7}", $"{i} first"), ($"k{i % 5}", $"{i} second")], new RecordBatchOptions { Compression = compression }));
        }

        await host.SealAsync(log);
        List<(long Offset, string? Key, string? Value)> before = await log.ReadAllAsync();
        LogMaintenanceResult result = await log.MaintainAsync();
        Assert.True(result.SegmentsCompacted > 3 && result.BytesFreed > 0, $"{result}");

        // Of what is cached readers get only what compaction has left, as they do when it is read from the store.
        List<(long Offset, string? Key, string? Value)> cached = await log.ReadAllAsync();
        log = await host.ReopenAsync(Compacted());
        List<(long Offset, string? Key, string? Value)> after = await log.ReadAllAsync();
        Assert.Equal(after, cached);
        Assert.True(after.Count < before.Count / 3);
        Assert.Equal(Latest(before), Latest(after));
        Assert.Subset(before.ToHashSet(), after.ToHashSet());
        Assert.Equal((0, before[^1].Offset + 1), (log.LogStartOffset, log.LogEndOffset));
        foreach (long offset in before.Select(record => record.Offset))
        {
            LogReadResult read = await log.ReadAsync(offset, 1, true);
            Assert.Equal(ErrorCode.None, read.Error);
            Assert.True(new RecordBatchHeader(read.Records[0].Span).NextOffset > offset);
        }
    }

    [Fact]
    public async Task The_log_start_stays_when_compaction_leaves_nothing_of_the_first_records()
    {
        IPartitionLog log = await host.OpenAsync(Compacted());
        for (int i = 0; i < 60; i++)
            await log.MustAppendAsync(Batches.Keyed(("k", $"{i} {new string('v', 80)}")));

        await host.SealAsync(log);
        await log.MaintainAsync();
        await log.FlushAsync();
        await log.MaintainAsync();
        Assert.Equal(0, log.LogStartOffset);
        log = await host.ReopenAsync(Compacted());
        await log.MaintainAsync();
        Assert.Equal(0, log.LogStartOffset);
        LogReadResult read = await log.ReadAsync(1, 1 << 20, true);
        Assert.Equal(ErrorCode.None, read.Error);
        Assert.Equal(59, Batches.Records(read.Records)[0].Offset);
    }

    [Fact]
    public async Task A_tombstone_stays_for_its_retention_and_goes_then()
    {
        TopicConfig config = Compacted(("delete.retention.ms", "60000"));
        IPartitionLog log = await host.OpenAsync(config);
        await log.MustAppendAsync(Batches.Keyed(("k", "v")));
        await log.MustAppendAsync(Batches.Keyed(("k", null)));
        await host.SealAsync(log);
        await log.MaintainAsync();
        log = await host.ReopenAsync(config);
        Assert.Equal([null], (await log.ReadAllAsync()).Where(record => record.Key == "k").Select(record => record.Value));
        host.Time.Advance(TimeSpan.FromMilliseconds(59_999));
        await log.MaintainAsync();
        log = await host.ReopenAsync(config);
        Assert.Contains("k", Latest(await log.ReadAllAsync()).Keys);
        host.Time.Advance(TimeSpan.FromMilliseconds(1));
        await host.SealAsync(log);
        await log.MaintainAsync();
        log = await host.ReopenAsync(config);
        Assert.DoesNotContain("k", Latest(await log.ReadAllAsync()).Keys);
    }

    [Fact]
    public async Task A_record_younger_than_the_compaction_lag_is_left_alone()
    {
        TopicConfig config = Compacted(("min.compaction.lag.ms", "60000"));
        IPartitionLog log = await host.OpenAsync(config);
        for (int i = 0; i < 30; i++)
            await log.MustAppendAsync(Batches.Keyed(("k", $"{i}")));

        await host.SealAsync(log);
        await log.MaintainAsync();
        log = await host.ReopenAsync(config);
        Assert.Equal(30, (await log.ReadAllAsync()).Count(record => record.Key == "k"));
        host.Time.Advance(TimeSpan.FromMinutes(1));
        await log.MaintainAsync();
        log = await host.ReopenAsync(config);
        Assert.Equal(["29"], (await log.ReadAllAsync()).Where(record => record.Key == "k").Select(record => record.Value));
    }

    private static TopicConfig Compacted(params (string Key, string Value)[] more) =>
        LogExtensions.Config(
            [("cleanup.policy", "compact"), ("internal.segment.bytes", "1024"), ("min.cleanable.dirty.ratio", "0"), .. more]);

    private static Dictionary<string, string?> Latest(IEnumerable<(long Offset, string? Key, string? Value)> records) =>
        records.GroupBy(record => record.Key!).ToDictionary(group => group.Key, group => group.Last().Value);

    private async Task FillAsync(IPartitionLog log, int count)
    {
        for (int i = 0; i < count; i++)
            await log.MustAppendAsync(Batches.Sized(400, NowMs));
    }
}
