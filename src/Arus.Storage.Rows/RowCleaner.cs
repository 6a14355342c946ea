namespace Arus.Storage.Rows;

/// <summary>
/// Compaction: the last record of each key stays. Reading and cleaning go on beside appends; only putting a cleaned row in the place of
/// others is an operation.
/// </summary>
internal sealed class RowCleaner(
    RowLogContext log, RowStore store, RowList rows, RowLeadership leadership, ProducerStateManager producers, RowOperations operations,
    RowMerger merger)
{
    /// <summary>When the next tombstone may go, as far as this leader knows.</summary>
    private long _nextHorizonMs = long.MaxValue;

    /// <exception cref="LogException">Compaction stopped; nothing was lost.</exception>
    public async Task<(int Rows, long BytesFreed)> CleanAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await TryCleanAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not LogException)
        {
            throw new LogException($"Compaction of {log.Partition} stopped, and nothing was lost: {error.Message}", error);
        }
    }

    private async Task<(int Rows, long BytesFreed)> TryCleanAsync(CancellationToken cancellationToken)
    {
        CompactionPlan? plan = await operations.RunAsync(() => Task.FromResult(Plan())).ConfigureAwait(false);
        if (plan is null || await MapKeysAsync(plan).ConfigureAwait(false) is not { } map)
            return (0, 0);

        (int count, long freed, long horizon) = (0, 0, long.MaxValue);
        IEnumerable<RowInfo> cleanable = plan.Rows.TakeWhile(row => row.BaseOffset < map.EndOffset);
        foreach (List<RowInfo> group in CompactionRules.Group(cleanable, log.Options.MergedRowBytes))
        {
            if (cancellationToken.IsCancellationRequested || await CleanAsync(plan, group, map).ConfigureAwait(false) is not { } cleaned)
            {
                return (count, freed); // Stopped, or retention took a row; the next pass goes on.
            }

            long before = group.Sum(row => (long)row.Size);
            if (cleaned.Changed && await operations.RunAsync(() => SwapAsync(plan, group, cleaned.Row)).ConfigureAwait(false))
                (count, freed) = (count + group.Count, freed + before - (cleaned.Row?.Batches.Length ?? 0));

            horizon = Math.Min(horizon, cleaned.NextHorizonMs);
        }

        await operations.RunAsync(() => FinishAsync(plan, map.EndOffset, horizon)).ConfigureAwait(false);
        return (count, freed);
    }

    /// <summary>What may be cleaned now; null when it is not worth it, or this log does not lead.</summary>
    private CompactionPlan? Plan()
    {
        (TopicConfig config, long nowMs) = (log.Config, log.NowMs);
        RowInfo[] cleanable =
            [.. rows.All.SkipLast(1).TakeWhile(row => CompactionRules.IsOldEnough(config, PieceOf(row), nowMs))];
        CompactionPiece[] pieces = Array.ConvertAll(cleanable, PieceOf);
        return leadership.IsLeader && CompactionRules.IsDue(config, pieces, rows.CleanedOffset, _nextHorizonMs, nowMs)
            ? new CompactionPlan(cleanable, rows.CleanedOffset, rows.Generation, producers.LastOffsets(), nowMs)
            : null;

        // A row keeps no times but its greatest timestamp; one without any counts as new.
        CompactionPiece PieceOf(RowInfo row)
        {
            long written = row.MaxTimestamp >= 0 ? row.MaxTimestamp : nowMs;
            return new CompactionPiece(row.NextOffset, row.Size, written, written);
        }
    }

    private async Task<OffsetMap?> MapKeysAsync(CompactionPlan plan)
    {
        var map = new OffsetMap(log.Options.CompactionMapBytes) { EndOffset = plan.FirstDirtyOffset };
        using var scratch = new PooledBufferWriter();
        foreach (RowInfo row in plan.Rows.Where(row => row.NextOffset > plan.FirstDirtyOffset))
        {
            if (await store.TryReadAsync(row, keep: false).ConfigureAwait(false) is not { } batches)
                return null;

            if (!RowBatches.Of(batches).All(batch => CompactionKeys.TryAdd(map, batch, plan.FirstDirtyOffset, scratch)))
            {
                return map; // Full: the next pass goes on from here.
            }

            map.EndOffset = row.NextOffset;
        }

        return map;
    }

    /// <summary>What stays of a group; null when one of its rows is gone.</summary>
    private async Task<CleanedRows?> CleanAsync(CompactionPlan plan, List<RowInfo> group, OffsetMap map)
    {
        long deleteRetentionMs = (long)log.Config.DeleteRetention.TotalMilliseconds;
        using var cleaner = new BatchCleaner(map, plan.LastOffsetsOfProducers, plan.NowMs, deleteRetentionMs);
        using var kept = new PooledBufferWriter();
        long maxTimestamp = RecordBatchHeader.NoTimestamp;
        bool changed = group.Count > 1;
        foreach (RowInfo row in group)
        {
            if (await store.TryReadAsync(row, keep: false).ConfigureAwait(false) is not { } batches)
                return null;

            foreach (ReadOnlyMemory<byte> batch in RowBatches.Of(batches))
            {
                ReadOnlyMemory<byte> cleaned = cleaner.Clean(batch);
                changed |= !cleaned.Equals(batch); // What is kept whole is the same memory.
                if (!cleaned.IsEmpty)
                {
                    maxTimestamp = Math.Max(maxTimestamp, new RecordBatchHeader(cleaned.Span).MaxTimestamp);
                    cleaned.Span.CopyTo(kept.GetSpan(cleaned.Length));
                    kept.Advance(cleaned.Length);
                }
            }
        }

        SegmentRow? result = kept.WrittenCount == 0
            ? null
            : new SegmentRow(
                leadership.ClaimedEpoch, group[0].BaseOffset, group[^1].NextOffset, maxTimestamp, kept.WrittenSpan.ToArray());
        return new CleanedRows(result, changed, cleaner.NextHorizonMs);
    }

    /// <summary>Puts the cleaned row in the place of its group; false when the log has changed since the group was read.</summary>
    private async Task<bool> SwapAsync(CompactionPlan plan, List<RowInfo> group, SegmentRow? cleaned)
    {
        int first = rows.IndexOf(group[0].BaseOffset);
        if (!leadership.IsLeader || plan.Generation != rows.Generation || !rows.All.Skip(first).Take(group.Count).SequenceEqual(group))
            return false;

        rows.Replace(first, group.Count, cleaned is null ? null : await merger.InsertAsync(cleaned).ConfigureAwait(false));
        return await leadership.TryCheckpointAndCollectAsync().ConfigureAwait(false);
    }

    private async Task<bool> FinishAsync(CompactionPlan plan, long cleanedTo, long horizon)
    {
        if (plan.Generation != rows.Generation || !leadership.IsLeader)
            return false;

        _nextHorizonMs = horizon;
        if (cleanedTo <= rows.CleanedOffset)
            return true;

        rows.CleanedOffset = cleanedTo;
        return await leadership.TryCheckpointAsync().ConfigureAwait(false);
    }

    /// <param name="FirstDirtyOffset">Everything before it was cleaned in an earlier pass.</param>
    private sealed record CompactionPlan(
        RowInfo[] Rows, long FirstDirtyOffset, int Generation, IReadOnlySet<long> LastOffsetsOfProducers, long NowMs);

    private sealed record CleanedRows(SegmentRow? Row, bool Changed, long NextHorizonMs);
}
