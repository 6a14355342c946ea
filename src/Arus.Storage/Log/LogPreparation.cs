namespace Arus.Storage;

/// <summary>
/// Readies a replicated log for a leader epoch: fences earlier leaders, then cuts what the epoch's leader does not have. Runs as an
/// exclusive operation. A cut is written down before it begins, so that one which a crash interrupts is completed at the next opening.
/// </summary>
internal sealed class LogPreparation(LogContext log, SegmentList segments, ReplicaCheckpoint replica, LogTruncation truncation)
{
    /// <summary>See <see cref="IPartitionLog.PrepareAsync"/>.</summary>
    /// <returns>Why it was refused; null when it is done.</returns>
    public LogException? Prepare(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        if (epoch < replica.FencedEpoch)
        {
            return new LogException(
                $"Leader epoch {epoch} of {log.Partition} is over; epoch {replica.FencedEpoch} was promised that it is refused.",
                error: ErrorCode.FencedLeaderEpoch);
        }

        bool isCut = restartAt >= 0 || (truncateTo >= 0 && truncateTo < segments.LogEndOffset);
        long end = restartAt >= 0 ? restartAt : isCut ? truncateTo : long.MaxValue;
        if (end < segments.HighWatermark && !renewLogId)
        {
            return new LogException(
                $"The log of {log.Partition} cannot end at offset {end} and be the same replica: all before its high watermark, "
                + $"{segments.HighWatermark}, may have been acknowledged.",
                error: ErrorCode.InvalidRequest);
        }

        replica.Fence(epoch, isCut && restartAt < 0 ? truncateTo : -1, restartAt, renewLogId);
        if (isCut)
            Cut();

        return null;
    }

    /// <summary>Completes the cut that was under way when the broker went down, if there was one.</summary>
    public void Resume()
    {
        if (replica.TruncateTo >= 0 || replica.RestartAt >= 0)
            Cut();
    }

    private void Cut()
    {
        bool isToDo = replica.RestartAt >= 0 || replica.TruncateTo < segments.LogEndOffset;
        if (replica.RestartAt >= 0)
            truncation.RestartAt(replica.RestartAt);
        else if (isToDo)
            truncation.TruncateTo(replica.TruncateTo);

        replica.FinishCut(isToDo);
    }
}
