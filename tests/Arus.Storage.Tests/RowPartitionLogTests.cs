using Arus.Protocol;
using Arus.Storage.Rows;
using Arus.Testing;
using static Arus.Storage.Tests.RowLogs;

namespace Arus.Storage.Tests;

public sealed class RowPartitionLogTests
{
    [Fact]
    public void Records_survive_reopening_merging_and_retention() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store);
        for (int i = 0; i < 50; i++)
            Assert.Equal(i, Do(store, log.AppendAsync([Batches.Of($"{i}")], 1).AsTask())[0].BaseOffset);

        Assert.Equal(50, log.SegmentCount);
        LogMaintenanceResult result = Do(store, log.MaintainAsync().AsTask());
        Assert.True(result.SegmentsCompacted > 40, $"{result}");
        Assert.Equal(3, log.SegmentCount);
        Assert.Equal(log.SegmentCount, store.Rows);
        Check(log);
        Check(Open(store));
        Do(store, Wrap(log.DisposeAsync()));
        log = Open(store, epoch: 2);
        Assert.Equal(50, Do(store, log.AppendAsync([Batches.Of("50")], 2).AsTask())[0].BaseOffset);
        LogDeleteResult deleted = Do(store, log.DeleteRecordsAsync(25).AsTask());
        Assert.Equal(25, deleted.LogStartOffset);
        Assert.Equal(new LogEpochEnd(1, 50), log.EpochEnd(1));
        log = Open(store);
        Assert.Equal((25, 51), (log.LogStartOffset, log.LogEndOffset));
        Do(store, Wrap(log.DeleteAsync()));
        Assert.Equal((0, false), (store.Rows, store.HasHead));

        void Check(RowPartitionLog opened) => Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), Values(store, opened));
    });

    [Fact]
    public void Readers_at_the_end_are_not_sent_back_while_a_leader_claims_the_log() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Do(store, log.AppendAsync([Batches.Of("0")], 1).AsTask());
        Do(store, log.AppendAsync([Batches.Of("1")], 1).AsTask());
        log = Open(store);
        Task<LogAppendResult[]> append = log.AppendAsync([Batches.Of("2")], 2).AsTask();
        var random = new Random(1);
        while (!append.IsCompleted)
        {
            LogReadResult read = Do(store, log.ReadAsync(2, 1000, minOneBatch: true).AsTask());
            Assert.Equal(ErrorCode.None, read.Error);
            Assert.InRange(read.HighWatermark, 2, 3);
            store.Step(random);
        }

        Assert.Equal(3, log.HighWatermark);
    });

    [Fact]
    public void Appends_that_wait_share_a_row_and_duplicates_are_told() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Task<LogAppendResult[]>[] appends =
            [.. new[] { 0, 1, 1, 2, 5 }.Select(sequence => log.AppendAsync([Batches.Idempotent(3, 0, sequence)], 1).AsTask())];
        LogAppendResult[][] results = Do(store, Task.WhenAll(appends));
        Assert.Equal([0L, 1L, 1L, 2L, -1L], results.Select(result => result[0].BaseOffset));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, results[4][0].Error);
        Assert.Equal(2, log.SegmentCount);
        log = Open(store, epoch: 2);
        Assert.Equal(2, Do(store, log.AppendAsync([Batches.Idempotent(3, 0, 2)], 2).AsTask())[0].BaseOffset);
        Assert.Equal(3, log.LogEndOffset);
    });

    [Theory, InlineData(false), InlineData(true)]
    public async Task The_next_row_is_inserted_while_nobody_knows_yet_whether_the_last_one_counts(bool isDeposed)
    {
        var memory = new MemoryRowStore();
        var store = new HeldRowStore(memory);
        RowLogOptions options = Small with { StoreAttempts = 1, ContinuesInline = false };
        RowPartitionLog log = await RowPartitionLog.OpenAsync(LogFixture.Partition, store, LogExtensions.Config(), options, leaderEpoch: 1);
        await log.AppendAsync([Batches.Of("0")], 1);
        Task<LogAppendResult[]> first, second;
        using (IDisposable looks = store.HoldLooksAtFence())
        {
            using (store.HoldCalls())
            {
                // The first is on its way to the store when the second comes.
                first = log.AppendAsync([Batches.Of("1")], 1).AsTask();
                second = log.AppendAsync([Batches.Sized(100, Batches.Time + 1)], 1).AsTask();
            }

            await Eventually.AsksAsync(() => Task.FromResult(store.Inserts), inserts => inserts == 3, _ => false, TestTimeout.Value);
            LogReadResult read = await log.ReadAsync(1, 1000, minOneBatch: true);
            Assert.Equal((ErrorCode.None, 1L, 0), (read.Error, read.HighWatermark, read.Records.Length));
            Assert.Null(await log.FindByTimestampAsync(Batches.Time + 1));
            Assert.False(first.IsCompleted || second.IsCompleted);
            if (isDeposed)
                await RowPartitionLog.OpenAsync(LogFixture.Partition, memory, LogExtensions.Config(), options, leaderEpoch: 2);
        }

        ErrorCode expected = isDeposed ? ErrorCode.FencedLeaderEpoch : ErrorCode.None;
        Assert.Equal([expected, expected], [(await first)[0].Error, (await second)[0].Error]);
        Assert.Equal(isDeposed ? 1 : 3, log.HighWatermark);
    }

    [Fact]
    public void A_leader_whose_time_is_over_finds_out_by_appends_that_write_nothing() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog old = Open(store, epoch: 1);
        Do(store, old.AppendAsync([Batches.Idempotent(3, 0, 0)], 1).AsTask());
        RowPartitionLog current = Open(store, epoch: 2);
        Do(store, current.AppendAsync([Batches.Idempotent(3, 0, 1)], 2).AsTask());

        // To the old leader, which knows one batch, the third is out of order.
        Assert.Equal(ErrorCode.FencedLeaderEpoch, Do(store, old.AppendAsync([Batches.Idempotent(3, 0, 2)], 1).AsTask())[0].Error);
        Assert.Equal(2, Do(store, current.AppendAsync([Batches.Idempotent(3, 0, 2)], 2).AsTask())[0].BaseOffset);
    });

    [Fact]
    public void A_log_that_is_prepared_for_an_epoch_fences_the_leaders_of_earlier_ones() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog old = Open(store, epoch: 1);
        RowPartitionLog log = Open(store);
        Do(store, Wrap(log.PrepareAsync(2, -1, -1, renewLogId: false)));
        Assert.Equal(2, log.FencedEpoch);
        Assert.Equal(ErrorCode.FencedLeaderEpoch, Do(store, old.AppendAsync([Batches.Of("old")], 1).AsTask())[0].Error);
        LogException late = Assert.Throws<LogException>(
            () => Do(store, Wrap(Open(store).PrepareAsync(1, -1, -1, renewLogId: false))));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, late.Error);
        Assert.Equal(ErrorCode.None, Do(store, log.AppendAsync([Batches.Of("new")], 2).AsTask())[0].Error);
        Assert.Equal("new", Values(store, log)[^1]);
    });

    [Fact]
    public void A_head_that_cannot_be_written_fails_the_log_and_changes_nothing() => OnOwnThread(() =>
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Do(store, log.AppendAsync([Batches.Of("0")], 1).AsTask());
        Do(store, log.AppendAsync([Batches.Of("1")], 1).AsTask());
        store.RefusesHeads = true;
        LogException failure = Assert.Throws<LogException>(() => Do(store, Wrap(log.TruncateToAsync(1))));
        Assert.Contains("head of", failure.Message);
        Assert.Equal(ErrorCode.KafkaStorageError, Do(store, log.AppendAsync([Batches.Of("lost")], 1).AsTask())[0].Error);
        store.RefusesHeads = false;
        Assert.Equal(["0", "1"], Values(store, Open(store, epoch: 2)));
    });

    [Fact]
    public void Retention_deletes_whole_rows() => OnOwnThread(() =>
    {
        var time = new ManualTimeProvider();
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(
            store, epoch: 1, config: LogExtensions.Config(("retention.ms", "60000")), options: Small with { Time = time, MergeRows = 100 });
        for (int i = 0; i < 10; i++)
        {
            ReadOnlyMemory<byte> batch = Batches.Sized(100, time.GetUtcNow().ToUnixTimeMilliseconds());
            Do(store, log.AppendAsync([batch], 1).AsTask());
            time.Advance(TimeSpan.FromSeconds(10));
        }

        Assert.Equal(4, Do(store, log.MaintainAsync().AsTask()).SegmentsDeleted);
        Assert.Equal((4, 6), (log.LogStartOffset, store.Rows));
    });

    [Fact]
    public void The_formats_of_row_and_head()
    {
        byte[] row = new SegmentRow(3, 10, 12, 99, new byte[] { 1, 2 }).Serialize();
        Assert.Equal("41524F5700010000001E00000003000000000000000A000000000000000C00000000000000630102", Convert.ToHexString(row)[..^8]);
        Assert.Equal("r00000000000000000010", RowInfo.KeyOf(10, generation: 0));
        Assert.Equal("r00000000000000000010.3", RowInfo.KeyOf(10, generation: 3));
        Assert.Equal("m00000000000000000005-00000000000000000012-2", new RowInfo(5, 12, 99, 300, 2).Key);
        Assert.Equal("m00000000000000000005-00000000000000000012-2-7", new RowInfo(5, 12, 99, 300, 2, 7).Key);
        SegmentRow read = SegmentRow.Deserialize("r", row);
        Assert.Equal((3, 10L, 12L, 99L, 2), (read.LeaderEpoch, read.BaseOffset, read.NextOffset, read.MaxTimestamp, read.Batches.Length));
        row[20] ^= 1;
        Assert.Throws<LogException>(() => SegmentRow.Deserialize("r", row));

        var head = new RowLogHead
        {
            LeaderEpoch = 2,
            LogStartOffset = 5,
            NextOffset = 12,
            Generation = 4,
            CleanedOffset = 9,
            Rows = [new() { BaseOffset = 5, NextOffset = 12, MaxTimestamp = 99, Size = 300, MergedEpoch = -1, Number = 6 }],
            Epochs = [new() { Epoch = 2, StartOffset = 5 }],
            Garbage = ["r1"u8.ToArray()],
            Producers = new byte[] { 7 },
        };
        byte[] bytes = HeadRow.Serialize(head);
        Assert.Equal(
            "414845440002" + "00000067" + "00000002" + "0000000000000005" + "000000000000000C" + "00000004" + "0000000000000009"
            + "00000001" + "0000000000000005" + "000000000000000C" + "0000000000000063" + "0000012C" + "FFFFFFFF" + "00000006"
            + "00000001" + "00000002" + "0000000000000005" + "00000001" + "00000002" + "7231" + "00000001" + "07",
            Convert.ToHexString(bytes)[..^8]);
        Assert.Equal(bytes, HeadRow.Serialize(HeadRow.Deserialize(bytes)));

        byte[] first = DurableFile.Frame("AHED"u8, 1, Convert.FromHexString(
            "00000002" + "0000000000000005" + "000000000000000C"
            + "00000001" + "0000000000000005" + "000000000000000C" + "0000000000000063" + "0000012C" + "FFFFFFFF"
            + "00000001" + "00000002" + "0000000000000005" + "00000001" + "00000002" + "7231" + "00000001" + "07"));
        (head.Generation, head.CleanedOffset, head.Rows[0].Number) = (0, 0, 0);
        Assert.Equal(HeadRow.Serialize(head), HeadRow.Serialize(HeadRow.Deserialize(first)));
    }
}
