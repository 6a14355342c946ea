namespace Arus.Storage;

/// <summary>
/// Retention by time and size, and DeleteRecords: both remove whole segments from the start of the log. Runs as an exclusive operation.
/// </summary>
internal sealed class LogRetention(
    LogContext log, SegmentList segments, ProducerStateManager producers, LogCheckpointer checkpointer, LogWriter writer)
{
    /// <summary>Moves the log start, durably. Retention repeats the removal of segments if a crash comes between the two.</summary>
    public LogDeleteResult DeleteRecords(long beforeOffset)
    {
        long target = beforeOffset == -1 ? segments.HighWatermark : beforeOffset;
        if (target < 0 || target > segments.HighWatermark)
            return new LogDeleteResult(ErrorCode.OffsetOutOfRange, -1);

        if (target > segments.LogStartOffset)
        {
            segments.MoveLogStart(target);
            checkpointer.CheckpointEnd();
            Segment[] all = segments.All;
            DeleteSegments(all.TakeWhile((segment, i) => i + 1 < all.Length && segment.NextOffset <= target).Count());
        }

        return new LogDeleteResult(ErrorCode.None, segments.LogStartOffset);
    }

    public LogMaintenanceResult Apply()
    {
        int expired = producers.Expire(log.Shared.NowMs - log.Config.ProducerIdExpirationMs);
        Segment[] all = segments.All;
        int doomed = CountDeletable(all);
        if (doomed == 0)
            return new LogMaintenanceResult(0, 0, 0, expired);

        if (doomed == all.Length)
        {
            Roll(); // The last segment goes too, but not the offsets: a new segment takes them up.
        }

        DeleteSegments(doomed);
        return new LogMaintenanceResult(doomed, 0, all.Take(doomed).Sum(segment => (long)segment.Size), expired);
    }

    /// <summary>Begins a new, empty segment at the log's end.</summary>
    public void Roll()
    {
        Segment active = segments.Active;
        writer.StartSegment(segments.LogEndOffset);
        checkpointer.SyncSealed(active);
    }

    /// <summary>How many segments from the start may go: those before the log start, and those that the policy deletes.</summary>
    private int CountDeletable(Segment[] all)
    {
        TopicConfig config = log.Config;
        (long start, long end, long nowMs) = (segments.LogStartOffset, segments.VisibleEnd, log.Shared.NowMs);

        // A segment that compaction has emptied is not before the log start, which only deletion moves.
        int count = all.TakeWhile((segment, i) => segment.BaseOffset < start && segment.NextOffset <= start && MayGo(segment, i)).Count();
        if (config.Delete && config.RetentionMs >= 0)
        {
            count = Math.Max(
                count, all.TakeWhile((segment, i) => MayGo(segment, i) && nowMs - segment.LatestMs > config.RetentionMs).Count());
        }

        if (config.Delete && config.RetentionBytes >= 0)
        {
            long excess = segments.SizeBytes - config.RetentionBytes;
            count = Math.Max(count, all.TakeWhile((segment, i) => MayGo(segment, i) && (excess -= segment.Size) >= 0).Count());
        }

        return count;

        // Not what may be truncated yet, since the log would begin behind its high watermark; nor an empty last segment, which keeps the
        // log's end.
        bool MayGo(Segment segment, int index) =>
            index + 1 < all.Length ? all[index + 1].BaseOffset <= end : segment.Size > 0 && segment.NextOffset <= end;
    }

    /// <summary>
    /// Neither recovery nor a truncation could learn the sequences of producers from what is gone: they would take older ones for the last,
    /// and refuse what follows.
    /// </summary>
    private void KeepProducers(Segment[] removed)
    {
        long end = removed[^1].NextOffset;
        using LogLock.Scope exclusion = checkpointer.Exclude();
        if (end > checkpointer.RecoveryOffset)
            checkpointer.CheckpointEnd();

        // A truncation deletes later snapshots than its end, which lies above the high watermark.
        if (checkpointer.ListSnapshots().Any(offset => offset >= end && offset <= segments.HighWatermark))
            return;

        try
        {
            checkpointer.WriteSnapshot(end, ProducerRebuild.Run(log.Shared, log.Directory, removed, end));
        }
        catch (LogException damage)
        {
            log.ReportDamage(null, damage);
        }
    }

    private void DeleteSegments(int count)
    {
        if (count == 0)
            return;

        Segment[] removed = segments.All[..count];
        KeepProducers(removed);
        segments.Replace(0, count, null);
        foreach (Segment segment in removed)
            segment.Discard(log);
    }
}
