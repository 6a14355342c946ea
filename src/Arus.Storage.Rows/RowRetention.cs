namespace Arus.Storage.Rows;

/// <summary>Retention by time and size, and DeleteRecords.</summary>
internal sealed class RowRetention(
    RowLogContext log, RowList rows, RowLeadership leadership, ProducerStateManager producers, RowMerger merger, RowOperations operations)
{
    /// <summary>Used inside operations.</summary>
    public async Task<LogDeleteResult> DeleteRecordsAsync(long beforeOffset)
    {
        long target = beforeOffset == -1 ? rows.NextOffset : beforeOffset;
        if (target < 0 || target > rows.NextOffset)
            return new LogDeleteResult(ErrorCode.OffsetOutOfRange, -1);

        if (!leadership.IsLeader)
            return new LogDeleteResult(ErrorCode.NotLeaderOrFollower, -1);

        if (target > rows.LogStartOffset)
        {
            rows.AdvanceStart(target);
            if (!await leadership.TryCheckpointAndCollectAsync().ConfigureAwait(false))
                return new LogDeleteResult(ErrorCode.NotLeaderOrFollower, -1);
        }

        return new LogDeleteResult(ErrorCode.None, rows.LogStartOffset);
    }

    /// <summary>One pass of retention, merging, and expiry of producers. Rows are deleted and merged beside appends.</summary>
    /// <exception cref="LogException">The pass stopped; nothing was lost.</exception>
    public async Task<LogMaintenanceResult> ApplyAsync(CancellationToken cancellationToken)
    {
        LogMaintenanceResult result = await operations.RunAsync(RetainAsync).ConfigureAwait(false);
        try
        {
            await leadership.CollectGarbageAsync().ConfigureAwait(false);
            return result with { SegmentsCompacted = await merger.MergeAsync(cancellationToken).ConfigureAwait(false) };
        }
        catch (Exception error) when (error is not LogException)
        {
            throw new LogException($"Retention of {log.Partition} stopped, and nothing was lost: {error.Message}", error);
        }
    }

    /// <summary>Only a leader changes what is stored.</summary>
    private async Task<LogMaintenanceResult> RetainAsync()
    {
        int expired = producers.Expire(log.NowMs - log.Config.ProducerIdExpirationMs);
        if (!leadership.IsLeader)
            return new LogMaintenanceResult(0, 0, 0, expired);

        (long before, int count) = (rows.SizeBytes, rows.Count);
        if (log.Config.Delete)
            rows.AdvanceStart(RetentionStart(log.Config));

        int deleted = count - rows.Count;
        if (deleted > 0 || leadership.NeedsCheckpoint || rows.Garbage.Count > 0)
            await leadership.TryCheckpointAsync().ConfigureAwait(false);

        return new LogMaintenanceResult(deleted, 0, before - rows.SizeBytes, expired);
    }

    /// <summary>Where the log starts by <c>retention.ms</c> and <c>retention.bytes</c>.</summary>
    private long RetentionStart(TopicConfig config)
    {
        long excess = config.RetentionBytes < 0 ? -1 : rows.SizeBytes - config.RetentionBytes;
        long start = rows.LogStartOffset;
        foreach (RowInfo row in rows.All)
        {
            bool tooOld = config.RetentionMs >= 0 && row.MaxTimestamp >= 0 && log.NowMs - row.MaxTimestamp > config.RetentionMs;
            bool tooMuch = config.RetentionBytes >= 0 && excess - row.Size >= 0;
            if (!tooOld && !tooMuch)
                break;

            excess -= row.Size;
            start = row.NextOffset;
        }

        return start;
    }
}
