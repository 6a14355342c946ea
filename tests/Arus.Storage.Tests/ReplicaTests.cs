using Arus.Compression;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>A log that is one replica of several: what its host moves, and what it refuses.</summary>
public sealed class ReplicaTests
{
    private readonly Machine _machine = new();
    private int _moves;

    [Fact]
    public async Task The_high_watermark_is_moved_by_the_host_and_what_consumers_see_ends_there()
    {
        IPartitionLog log = await OpenAsync();
        for (int i = 0; i < 3; i++)
            await _machine.MustAppendAsync(log, 1, Batches.Of($"{i}"));

        Assert.Equal((3, 3, 0), (log.LogEndOffset, log.DurableEndOffset, log.HighWatermark));
        Assert.Equal(3, _moves);
        Assert.Empty(await ReadAsync(log, 0));
        Assert.Equal(["0", "1", "2"], await ReadAsync(log, 0, LogReadLimit.DurableEnd));
        ValueTask<bool> readable = log.WaitForAsync(1, Timeout.InfiniteTimeSpan);
        log.AdvanceHighWatermark(1);
        Assert.Equal(["0"], await ReadAsync(log, 0));
        Assert.False(readable.IsCompleted);
        log.AdvanceHighWatermark(100);
        Assert.True(await readable);
        Assert.Equal(3, log.HighWatermark);
        Assert.Equal(["2"], await ReadAsync(log, 2));
        log.AdvanceHighWatermark(2);
        Assert.Equal(3, log.HighWatermark);
    }

    [Fact]
    public async Task The_log_start_follows_the_leaders_up_to_the_high_watermark()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.MustAppendAsync(log, 1, Batches.Of("a", "b", "c"));
        log.AdvanceHighWatermark(2, logStartOffset: 3);
        Assert.Equal((2, 2), (log.LogStartOffset, log.HighWatermark));
        log.AdvanceHighWatermark(3, logStartOffset: 1);
        Assert.Equal((2, 3), (log.LogStartOffset, log.HighWatermark));
    }

    [Fact]
    public async Task A_prepared_log_refuses_earlier_epochs_whoever_appends()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.PrepareAsync(log, 5);
        Assert.Equal(5, log.FencedEpoch);
        foreach (AppendOrigin origin in Enum.GetValues<AppendOrigin>())
        {
            LogAppendResult[] refused = await _machine.AppendAsync(log, 4, Batches.Of("old"), origin);
            Assert.Equal(ErrorCode.FencedLeaderEpoch, refused[0].Error);
        }

        LogException error = await Assert.ThrowsAsync<LogException>(() => _machine.PrepareAsync(log, 4));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, error.Error);
        await _machine.MustAppendAsync(log, 5, Batches.Of("new"));
        Assert.Equal(1, log.DurableEndOffset);
        Assert.Null(log.Failure);
    }

    [Fact]
    public async Task What_a_leader_sends_keeps_its_offsets_and_epochs_and_follows_the_log()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.PrepareAsync(log, 7);
        await _machine.MustAppendAsync(log, 7, (byte[])[.. Sent(0, 2, "a"), .. Sent(5, 4, "b")], AppendOrigin.Replica);
        Assert.Equal((6, 4), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal([new LogEpochStart(2, 0), new LogEpochStart(4, 5)], log.Epochs.ToArray());
        (byte[] Bytes, ErrorCode Error)[] misfits =
        [
            (Sent(5, 4, "again"), ErrorCode.OffsetOutOfRange), (Sent(6, 3, "of an earlier epoch"), ErrorCode.InvalidRecord),
            (Sent(6, 8, "of a later epoch"), ErrorCode.InvalidRecord),
            ([.. Sent(6, 4, "first"), .. Sent(6, 4, "at the same offset")], ErrorCode.OffsetOutOfRange),
        ];
        foreach ((byte[] bytes, ErrorCode expected) in misfits)
            Assert.Equal(expected, (await _machine.AppendAsync(log, 7, bytes, AppendOrigin.Replica))[0].Error);

        Assert.Equal(["a", "b"], await ReadAsync(log, 0, LogReadLimit.DurableEnd));
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData(0)]
    public async Task Searches_and_reads_from_files_end_at_the_high_watermark(int cacheBytes)
    {
        var machine = new Machine(new LogProviderOptions { Directory = "/logs", CacheBytes = cacheBytes });
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("index.interval.bytes", "0"));
        IPartitionLog log = await machine.OpenReplicaAsync(config);
        for (int i = 0; i < 40; i++)
            await machine.MustAppendAsync(log, 1, Batches.Build([(null, "x"), (null, "y")], new RecordBatchOptions(), j => Time(i, j)));

        for (int readable = 0; readable <= 40; readable++)
        {
            log.AdvanceHighWatermark(2 * readable);
            LogTimestamp? latest = await machine.Scheduler.RunAsync(log.FindMaxTimestampAsync());
            Assert.Equal(readable == 0 ? null : new LogTimestamp((2 * readable) - 1, Time(readable - 1, 1), 1), latest);
            Assert.Null(await machine.Scheduler.RunAsync(log.FindByTimestampAsync(Time(readable, 0))));
            LogTimestamp? first = await machine.Scheduler.RunAsync(log.FindByTimestampAsync(0));
            Assert.Equal(readable == 0 ? null : new LogTimestamp(0, Time(0, 0), 1), first);
            var read = new List<(long Offset, string? Value)>();
            while (await machine.ReadAsync(log, read.Count, LogReadLimit.HighWatermark) is { Count: > 0 } more)
                read.AddRange(more);

            Assert.Equal(2 * readable, read.Count);
        }

        static long Time(int batch, int record) => Batches.Time + (batch * 10) + record;
    }

    [Fact]
    public async Task A_batch_that_the_high_watermark_divides_is_not_read()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.MustAppendAsync(log, 1, Batches.Of("a", "b"));
        await _machine.MustAppendAsync(log, 1, Batches.Of("c", "d"));
        log.AdvanceHighWatermark(3);
        Assert.Equal(["a", "b"], await ReadAsync(log, 0));
        Assert.Empty(await ReadAsync(log, 2));
        Assert.Equal(new LogTimestamp(0, Batches.Time, 1), await _machine.Scheduler.RunAsync(log.FindMaxTimestampAsync()));
        await _machine.RestartAsync(log);
        log = await OpenAsync(); // Now it is read from the file.
        Assert.Equal(["a", "b"], await ReadAsync(log, 0));
        Assert.Empty(await ReadAsync(log, 2));
    }

    [Fact]
    public async Task Retention_deletion_and_compaction_leave_alone_what_may_be_truncated()
    {
        TopicConfig config = LogExtensions.Config(
            ("internal.segment.bytes", "1024"), ("retention.bytes", "0"), ("cleanup.policy", "compact,delete"),
            ("min.cleanable.dirty.ratio", "0"), ("file.delete.delay.ms", "0"));
        IPartitionLog log = await _machine.OpenReplicaAsync(config);
        for (int i = 0; i < 60; i++)
            await _machine.MustAppendAsync(log, 1, Batches.Keyed(("k", $"{i}")));

        await _machine.Scheduler.RunAsync(log.FlushAsync());
        LogMaintenanceResult result = await MaintainAsync(log);
        Assert.Equal((0, 0, 60), (result.SegmentsDeleted, result.SegmentsCompacted, (await _machine.ReadAllAsync(log)).Count));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await _machine.Scheduler.RunAsync(log.DeleteRecordsAsync(1))).Error);

        log.AdvanceHighWatermark(30);
        Assert.Equal(30, (await _machine.Scheduler.RunAsync(log.DeleteRecordsAsync(-1))).LogStartOffset);
        await MaintainAsync(log);
        Assert.Equal(30, log.LogStartOffset);
        Assert.Equal(Enumerable.Range(30, 30).Select(i => (long)i), (await _machine.ReadAllAsync(log)).Select(record => record.Offset));
        log.AdvanceHighWatermark(60);
        result = await MaintainAsync(log);
        Assert.True(result.SegmentsDeleted > 0);
        Assert.Equal((60, 60), (log.LogStartOffset, log.LogEndOffset));
    }

    [Fact]
    public async Task Compaction_ends_at_the_high_watermark()
    {
        TopicConfig config = LogExtensions.Config(
            ("internal.segment.bytes", "1024"), ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"));
        IPartitionLog log = await _machine.OpenReplicaAsync(config);
        for (int i = 0; i < 60; i++)
            await _machine.MustAppendAsync(log, 1, Batches.Keyed(("k", $"{i}")));

        await _machine.Scheduler.RunAsync(log.FlushAsync());
        log.AdvanceHighWatermark(30);
        Assert.True((await MaintainAsync(log)).SegmentsCompacted > 0);
        long[] left = [.. (await _machine.ReadAllAsync(log)).Select(record => record.Offset)];
        Assert.Equal(Enumerable.Range(30, 30).Select(i => (long)i), left.Where(offset => offset >= 30));
        Assert.True(left.Length < 60);
    }

    [Fact]
    public async Task The_high_watermark_is_written_at_intervals_and_at_closing()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.MustAppendAsync(log, 1, Batches.Of("a", "b", "c"));
        string path = ReplicaFile.PathIn(_machine.Directory);
        byte[] before = _machine.Disk.Content(path);
        log.AdvanceHighWatermark(1);
        await _machine.MustAppendAsync(log, 1, Batches.Of("d"));
        Assert.Equal(before, _machine.Disk.Content(path));
        int flushes = _machine.Disk.Flushes;
        _machine.Time.Advance(_machine.Options.HighWatermarkCheckpointInterval);
        _machine.Scheduler.RunAll();
        Assert.NotEqual(before, before = _machine.Disk.Content(path));
        Assert.Equal(flushes, _machine.Disk.Flushes);
        log.AdvanceHighWatermark(2);
        _machine.Kill();
        log = await OpenAsync();
        Assert.Equal((1, 4), (log.HighWatermark, log.DurableEndOffset));
        log.AdvanceHighWatermark(3, logStartOffset: 2);
        await _machine.RestartAsync(log);
        log = await OpenAsync();
        Assert.Equal((2, 3, 4), (log.LogStartOffset, log.HighWatermark, log.DurableEndOffset));
    }

    [Fact]
    public async Task A_high_watermark_that_cannot_be_written_fails_the_log()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.MustAppendAsync(log, 1, Batches.Of("a"));
        log.AdvanceHighWatermark(1);
        _machine.Disk.FailIo = path => path == ReplicaFile.PathIn(_machine.Directory);
        _machine.Time.Advance(_machine.Options.HighWatermarkCheckpointInterval);
        _machine.Scheduler.RunAll();
        Assert.IsType<IOException>(log.Failure);
    }

    [Fact]
    public async Task Behind_what_is_refused_of_a_leader_nothing_is_taken()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.PrepareAsync(log, 7);
        LogAppendResult[] results = await _machine.Scheduler.RunAsync(log.AppendAsync(
            [Sent(0, 7, "a"), Sent(0, 7, "again"), Sent(1, 7, "b")], 7, AppendOrigin.Replica));
        Assert.Equal(
            [ErrorCode.None, ErrorCode.OffsetOutOfRange, ErrorCode.OffsetOutOfRange], results.Select(result => result.Error));
        Assert.Equal(["a"], await ReadAsync(log, 0, LogReadLimit.DurableEnd));
    }

    [Fact]
    public async Task A_log_that_restarts_within_a_batch_takes_that_batch_whole()
    {
        IPartitionLog log = await OpenAsync();
        await _machine.PrepareAsync(log, 7, restartAt: 46);
        await _machine.MustAppendAsync(log, 7, (byte[])[.. Sent(45, 3, "x", "y"), .. Sent(47, 7, "z")], AppendOrigin.Replica);
        Assert.Equal((46, 48), (log.LogStartOffset, log.DurableEndOffset));
        Assert.Equal([new LogEpochStart(3, 46), new LogEpochStart(7, 47)], log.Epochs.ToArray());
        Assert.Equal(["x", "y", "z"], await ReadAsync(log, 46, LogReadLimit.DurableEnd));

        await _machine.RestartAsync(log);
        log = await OpenAsync();
        Assert.Equal((46, 48), (log.LogStartOffset, log.DurableEndOffset));
        Assert.Equal(["x", "y", "z"], await ReadAsync(log, 46, LogReadLimit.DurableEnd));
        LogAppendResult[] refused = await _machine.Scheduler.RunAsync(log.AppendAsync([Sent(47, 7, "z")], 7, AppendOrigin.Replica));
        Assert.Equal(ErrorCode.OffsetOutOfRange, refused[0].Error);
    }

    [Fact]
    public async Task A_log_in_one_copy_is_no_replica()
    {
        IPartitionLog log = await _machine.OpenAsync();
        await _machine.MustAppendAsync(log, 1, Batches.Of("a"));
        log.AdvanceHighWatermark(0, 1);
        Assert.Equal((1, 1, 0), (log.HighWatermark, log.DurableEndOffset, log.LogStartOffset));
        Assert.Equal((Guid.Empty, -1), (log.LogId, log.FencedEpoch));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await log.PrepareAsync(2, -1, -1, false));
        Assert.False(ReplicaFile.Exists(_machine.Disk, _machine.Directory));
    }

    private static byte[] Sent(long offset, int epoch, params string[] values)
    {
        byte[] batch = Batches.Of(values).ToArray();
        BatchStamp.Write(batch, offset, epoch, null);
        return batch;
    }

    private Task<IPartitionLog> OpenAsync() => _machine.OpenReplicaAsync(durableEndMoved: () => _moves++);

    private async Task<LogMaintenanceResult> MaintainAsync(IPartitionLog log)
    {
        Task<LogMaintenanceResult> pass = log.MaintainAsync().AsTask();
        await _machine.Scheduler.RunUntilAsync(pass, new Random(1));
        return await pass;
    }

    private async Task<List<string?>> ReadAsync(IPartitionLog log, long offset, LogReadLimit upTo = LogReadLimit.HighWatermark) =>
        [.. (await _machine.ReadAsync(log, offset, upTo)).Select(record => record.Value)];
}
