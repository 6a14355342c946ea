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
            await AppendAsync(log, 1, Batches.Of($"{i}"));

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
        await AppendAsync(log, 1, Batches.Of("a", "b", "c"));
        log.AdvanceHighWatermark(2, logStartOffset: 3);
        Assert.Equal((2, 2), (log.LogStartOffset, log.HighWatermark));
        log.AdvanceHighWatermark(3, logStartOffset: 1);
        Assert.Equal((2, 3), (log.LogStartOffset, log.HighWatermark));
    }

    [Fact]
    public async Task A_prepared_log_refuses_earlier_epochs_whoever_appends()
    {
        IPartitionLog log = await OpenAsync();
        await PrepareAsync(log, 5);
        Assert.Equal(5, log.FencedEpoch);
        foreach (AppendOrigin origin in Enum.GetValues<AppendOrigin>())
        {
            LogAppendResult[] refused = await _machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("old")], 4, origin));
            Assert.Equal(ErrorCode.FencedLeaderEpoch, refused[0].Error);
        }

        LogException error = await Assert.ThrowsAsync<LogException>(() => PrepareAsync(log, 4));
        Assert.Equal(ErrorCode.FencedLeaderEpoch, error.Error);
        await AppendAsync(log, 5, Batches.Of("new"));
        Assert.Equal(1, log.DurableEndOffset);
        Assert.Null(log.Failure);
    }

    [Fact]
    public async Task What_a_leader_sends_keeps_its_offsets_and_epochs_and_follows_the_log()
    {
        IPartitionLog log = await OpenAsync();
        await PrepareAsync(log, 7);
        await AppendAsync(log, 7, (byte[])[.. Sent(0, 2, "a"), .. Sent(5, 4, "b")], AppendOrigin.Replica);
        Assert.Equal((6, 4), (log.LogEndOffset, log.LatestEpoch));
        Assert.Equal([new LogEpochStart(2, 0), new LogEpochStart(4, 5)], log.Epochs.ToArray());
        (byte[] Bytes, ErrorCode Error)[] misfits =
        [
            (Sent(5, 4, "again"), ErrorCode.OffsetOutOfRange), (Sent(6, 3, "of an earlier epoch"), ErrorCode.InvalidRecord),
            (Sent(6, 8, "of a later epoch"), ErrorCode.InvalidRecord),
            ([.. Sent(6, 4, "first"), .. Sent(6, 4, "at the same offset")], ErrorCode.OffsetOutOfRange),
        ];
        foreach ((byte[] bytes, ErrorCode expected) in misfits)
            Assert.Equal(expected, (await _machine.Scheduler.RunAsync(log.AppendAsync([bytes], 7, AppendOrigin.Replica)))[0].Error);

        Assert.Equal(["a", "b"], await ReadAsync(log, 0, LogReadLimit.DurableEnd));
    }

    [Fact]
    public async Task A_log_in_one_copy_is_no_replica()
    {
        IPartitionLog log = await _machine.OpenAsync();
        await AppendAsync(log, 1, Batches.Of("a"));
        log.AdvanceHighWatermark(0, 1);
        Assert.Equal((1, 1, 0), (log.HighWatermark, log.DurableEndOffset, log.LogStartOffset));
        Assert.Equal((Guid.Empty, -1), (log.LogId, log.FencedEpoch));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await log.PrepareAsync(2, -1, -1, false));
        Assert.False(ReplicaFile.Exists(_machine.Disk, _machine.Directory));
    }

    private static byte[] Sent(long offset, int epoch, string value)
    {
        byte[] batch = Batches.Of(value).ToArray();
        BatchStamp.Write(batch, offset, epoch, null);
        return batch;
    }

    private Task<IPartitionLog> OpenAsync() => _machine.OpenReplicaAsync(durableEndMoved: () => _moves++);

    private async Task AppendAsync(
        IPartitionLog log, int epoch, ReadOnlyMemory<byte> batches, AppendOrigin origin = AppendOrigin.Client)
    {
        LogAppendResult[] results = await _machine.Scheduler.RunAsync(log.AppendAsync([batches], epoch, origin));
        Assert.True(results[0].Error == ErrorCode.None, results[0].Message);
    }

    private Task PrepareAsync(IPartitionLog log, int epoch, long truncateTo = -1, long restartAt = -1, bool renewLogId = false) =>
        _machine.Scheduler.RunAsync(log.PrepareAsync(epoch, truncateTo, restartAt, renewLogId));

    private async Task<List<string?>> ReadAsync(IPartitionLog log, long offset, LogReadLimit upTo = LogReadLimit.HighWatermark)
    {
        LogReadResult read = await _machine.Scheduler.RunAsync(log.ReadAsync(offset, 1 << 20, true, upTo));
        Assert.Equal(ErrorCode.None, read.Error);
        return [.. Batches.Records(read.Records).Select(record => record.Value)];
    }
}
