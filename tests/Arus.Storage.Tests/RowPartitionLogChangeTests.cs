using Arus.Compression;
using Arus.Storage.Rows;
using Arus.Testing;
using static Arus.Storage.Tests.RowLogs;

namespace Arus.Storage.Tests;

/// <summary>What changes rows that are there: truncation, deletion, compaction.</summary>
public sealed class RowPartitionLogChangeTests
{
    private static TopicConfig Compacted(params (string Key, string Value)[] more) =>
        LogExtensions.Config([("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), .. more]);

    [Fact]
    public void A_truncated_log_ends_at_the_cut_and_takes_in_other_records_there() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        for (int i = 0; i < 10; i++)
            Append(store, log, 1, Batches.Idempotent(7, 0, i));

        Append(store, log, 1, Batches.Of("10", "11"));
        Append(store, log, 1, Batches.Of("12"));
        Do(store, Wrap(log.TruncateToAsync(11))); // The batch that holds it goes whole.
        Assert.Equal(10, log.LogEndOffset);
        Do(store, Wrap(log.TruncateToAsync(4)));
        Assert.Equal((4, 4, 4), (log.LogEndOffset, log.HighWatermark, store.Rows));
        Assert.Equal(ErrorCode.OffsetOutOfRange, Do(store, log.ReadAsync(5, 100, true).AsTask()).Error);
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, Do(store, log.AppendAsync([Batches.Idempotent(7, 0, 5)], 1).AsTask())[0].Error);
        Assert.Equal(4, Append(store, log, 1, Batches.Idempotent(7, 0, 4)));
        Append(store, log, 1, Batches.Of("new"));
        string[] expected = ["7/0/0", "7/0/1", "7/0/2", "7/0/3", "7/0/4", "new"];
        Assert.Equal(expected, Values(store, log));
        Assert.Equal(expected, Values(store, Open(store)));
        Assert.Equal(expected, Values(store, Open(store, epoch: 2)));
    });

    [Fact]
    public void A_row_of_several_batches_is_cut_within() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        for (int i = 0; i < 9; i++)
            Append(store, log, 1, Batches.Of($"{i}"));

        Do(store, log.MaintainAsync().AsTask());
        Assert.Equal(1, log.SegmentCount);
        Do(store, Wrap(log.TruncateToAsync(5)));
        Append(store, log, 1, Batches.Of("five"));
        Assert.Equal(["0", "1", "2", "3", "4", "five"], Values(store, Open(store)));
        Assert.Equal(2, store.Rows);
    });

    [Fact]
    public void Records_are_deleted_before_the_first_append_of_a_leader_that_opened_the_log() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Append(store, log, 1, Batches.Of("0"));
        Append(store, log, 1, Batches.Of("1"));
        RowPartitionLog next = Open(store, epoch: 2);
        Assert.Equal(new LogDeleteResult(ErrorCode.None, 1), Do(store, next.DeleteRecordsAsync(1).AsTask()));
        Assert.Equal(new LogDeleteResult(ErrorCode.NotLeaderOrFollower, -1), Do(store, log.DeleteRecordsAsync(2).AsTask()));
        Assert.Equal(["1"], Values(store, Open(store)));
        LogException fenced = Assert.Throws<LogException>(() => Open(store, epoch: 1));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, fenced.Error);
    });

    [Fact]
    public void What_was_queued_behind_a_failure_is_not_answered_from_memory() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Append(store, log, 1, Batches.Of("0"));
        Open(store, epoch: 2);
        Task<LogDeleteResult> first = log.DeleteRecordsAsync(1).AsTask();
        Task<LogDeleteResult> second = log.DeleteRecordsAsync(1).AsTask();
        Assert.Equal(ErrorCode.NotLeaderOrFollower, Do(store, first).Error);
        Assert.Throws<LogException>(() => Do(store, second));
    });

    [Fact]
    public void A_leader_whose_rows_a_newer_one_merged_finds_out_by_reading() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1, options: Small with { CacheBytes = 0 });
        for (int i = 0; i < 9; i++)
            Append(store, log, 1, Batches.Of($"{i}"));

        Do(store, Open(store, epoch: 2).MaintainAsync().AsTask());
        LogException fenced = Assert.Throws<LogException>(() => Do(store, log.ReadAsync(0, 100, true).AsTask()));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, fenced.Error);
        Assert.NotNull(log.Failure);
    });

    [Fact]
    public void A_deleted_log_leaves_nothing_although_another_leader_merged_and_goes_on() => OnOwnThread(() =>
    {
        ErrorCode[] late = [.. Enumerable.Range(0, 20).Select(DeleteUnderAnAppend).Distinct().Order()];
        Assert.Equal([ErrorCode.None, ErrorCode.FencedLeaderEpoch], late); // Before the deletion, or after it.
    });

    private static ErrorCode DeleteUnderAnAppend(int seed)
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog old = Open(store, epoch: 1);
        Append(store, old, 1, Batches.Of("0"));
        RowPartitionLog log = Open(store, epoch: 2);
        for (int i = 1; i < 9; i++)
            Append(store, log, 2, Batches.Of($"{i}"));

        Do(store, log.MaintainAsync().AsTask());
        Append(store, log, 2, Batches.Of("9"));
        Task<LogAppendResult[]> late = log.AppendAsync([Batches.Of("10")], 2).AsTask();
        Do(store, Wrap(old.DeleteAsync()), seed);
        ErrorCode error = Do(store, late, seed)[0].Error;
        Assert.Equal(
            error == ErrorCode.None ? ErrorCode.FencedLeaderEpoch : ErrorCode.KafkaStorageError,
            Do(store, log.AppendAsync([Batches.Of("11")], 2).AsTask())[0].Error);
        Assert.Equal((0, false), (store.Rows, store.HasHead));
        return error;
    }

    [Fact]
    public void Compaction_keeps_the_last_record_of_each_key_at_its_offset() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1, config: Compacted());
        for (int i = 0; i < 60; i++)
            Append(store, log, 1, Batches.Keyed(($"k{i % 7}", $"{i}"), ($"k{i % 5}", $"{i} second")));

        List<(long Offset, string? Key, string? Value)> before = ReadAll(store, log);
        LogMaintenanceResult result = Do(store, log.MaintainAsync().AsTask());
        Assert.True(result is { SegmentsCompacted: > 60, BytesFreed: > 0 }, $"{result}");
        log = Open(store, epoch: 2, config: Compacted());
        List<(long Offset, string? Key, string? Value)> after = ReadAll(store, log);
        Assert.Subset(before.ToHashSet(), after.ToHashSet());
        Assert.Equal(9, after.Count);
        Assert.Equal(log.SegmentCount, store.Rows);
        Assert.Equal(Latest(before), Latest(after));
        Assert.Equal((0, 120), (log.LogStartOffset, log.LogEndOffset));
        for (long offset = 0; offset < 120; offset++)
        {
            LogReadResult read = Do(store, log.ReadAsync(offset, 1, minOneBatch: true).AsTask());
            Assert.True(new RecordBatchHeader(read.Records[0].Span).NextOffset > offset);
        }

        Assert.Equal(0, Do(store, log.MaintainAsync().AsTask()).BytesFreed);
        Assert.Equal(120, Append(store, log, 2, Batches.Keyed(("k0", "last"))));
    });

    [Fact]
    public void The_lags_decide_what_is_compacted_and_when() => OnOwnThread(() =>
    {
        var time = new ManualTimeProvider();
        var store = new SimulatedRowStore { Faulty = false };
        TopicConfig config = LogExtensions.Config(
            ("cleanup.policy", "compact"), ("min.compaction.lag.ms", "60000"), ("max.compaction.lag.ms", "120000"),
            ("min.cleanable.dirty.ratio", "1"));
        RowPartitionLog log = Open(store, epoch: 1, config: config, options: Small with { Time = time, MergeRows = 100 });
        for (int i = 0; i < 4; i++)
            Append(store, log, 1, Batches.Build([("k", $"{i}")], new RecordBatchOptions(), _ => time.GetUtcNow().ToUnixTimeMilliseconds()));

        Assert.Equal(0, Do(store, log.MaintainAsync().AsTask()).SegmentsCompacted);
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(3, Do(store, log.MaintainAsync().AsTask()).SegmentsCompacted);
        Assert.Equal(["2", "3"], Values(store, log));
        Append(store, log, 1, Batches.Build([("k", "4")], new RecordBatchOptions(), _ => time.GetUtcNow().ToUnixTimeMilliseconds()));
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(0, Do(store, log.MaintainAsync().AsTask()).SegmentsCompacted); // One of two rows is dirty.
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(2, Do(store, log.MaintainAsync().AsTask()).SegmentsCompacted);
        Assert.Equal(["3", "4"], Values(store, log));
    });

    private static long Append(SimulatedRowStore store, IPartitionLog log, int epoch, ReadOnlyMemory<byte> batch)
    {
        LogAppendResult result = Do(store, log.AppendAsync([batch], epoch).AsTask())[0];
        Assert.True(result.Error == ErrorCode.None, result.Message);
        return result.BaseOffset;
    }

    private static Dictionary<string, string?> Latest(IEnumerable<(long Offset, string? Key, string? Value)> records) =>
        records.GroupBy(record => record.Key!).ToDictionary(group => group.Key, group => group.Last().Value);
}
