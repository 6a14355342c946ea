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
        (int count, long freed, long horizon) = (0, 0, long.MaxValue);
        try
        {
            CompactionPlan<RowInfo>? plan = await operations.RunAsync(() => Task.FromResult(Plan())).ConfigureAwait(false);
            if (plan is null)
                return (0, 0);

            plan = plan with { Aborted = rows.FindAborted(0, plan.EndOffset) };
            OffsetMap map = await MapKeysAsync(plan).ConfigureAwait(false);
            var transactions = new CleanedTransactions(plan.Aborted);
            foreach (List<RowInfo> group in plan.Group(map, log.Options.MergedRowBytes))
            {
                if (cancellationToken.IsCancellationRequested)
                    return (count, freed);

                using BatchCleaner cleaner = plan.NewCleaner(map, transactions, log.Config);
                var aborted = new List<LogAbortedTransaction>();
                SegmentRow? cleaned = await CleanAsync(cleaner, group, aborted).ConfigureAwait(false);
                long before = group.Sum(row => (long)row.Size);
                if ((cleaner.HasChanged || group.Count > 1)
                    && await operations.RunAsync(() => SwapAsync(plan, group, cleaned, aborted)).ConfigureAwait(false))
                {
                    (count, freed) = (count + group.Count, freed + before - (cleaned?.Batches.Length ?? 0));
                }

                horizon = Math.Min(horizon, cleaner.NextHorizonMs);
            }

            await operations.RunAsync(() => FinishAsync(plan, map.EndOffset, horizon)).ConfigureAwait(false);
        }
        catch (RowMissingException)
        {
            // Retention took a row; the next pass goes on.
        }
        catch (Exception error) when (error is not LogException)
        {
            throw new LogException($"Compaction of {log.Partition} stopped, and nothing was lost: {error.Message}", error);
        }

        return (count, freed);
    }

    /// <summary>What may be cleaned now; null when it is not worth it, or this log does not lead.</summary>
    private CompactionPlan<RowInfo>? Plan()
    {
        (TopicConfig config, long nowMs) = (log.Config, log.NowMs);
        RowInfo[] cleanable =
            [.. rows.All.SkipLast(1).TakeWhile(row =>
                row.NextOffset <= rows.LastStableOffset && CompactionRules.IsOldEnough(config, PieceOf(row), nowMs))];
        CompactionPiece[] pieces = Array.ConvertAll(cleanable, PieceOf);
        return leadership.IsLeader && CompactionRules.IsDue(config, pieces, rows.CleanedOffset, _nextHorizonMs, nowMs)
            ? new CompactionPlan<RowInfo>(cleanable, rows.CleanedOffset, rows.Generation, producers.Last(), nowMs)
            : null;

        // A row keeps no times but its greatest timestamp; one without any counts as new.
        CompactionPiece PieceOf(RowInfo row)
        {
            long written = row.MaxTimestamp >= 0 ? row.MaxTimestamp : nowMs;
            return new CompactionPiece(row.NextOffset, row.Size, written, written);
        }
    }

    private async Task<OffsetMap> MapKeysAsync(CompactionPlan<RowInfo> plan)
    {
        var map = new OffsetMap(log.Options.CompactionMapBytes) { EndOffset = plan.FirstDirtyOffset };
        using var scratch = new PooledBufferWriter();
        var transactions = new CleanedTransactions(plan.Aborted);
        foreach (RowInfo row in plan.Dirty)
        {
            ReadOnlyMemory<byte> batches = await store.ReadAsync(row, keep: false).ConfigureAwait(false);
            if (!BatchSlicing.Split(batches).All(batch => CompactionKeys.TryAdd(map, batch, plan.FirstDirtyOffset, transactions, scratch)))
            {
                return map; // Full: the next pass goes on from here.
            }

            map.EndOffset = row.NextOffset;
        }

        return map;
    }

    /// <summary>What stays of a group; null for nothing.</summary>
    /// <param name="aborted">Gets the aborted transactions of which records may stay.</param>
    private async Task<SegmentRow?> CleanAsync(BatchCleaner cleaner, List<RowInfo> group, List<LogAbortedTransaction> aborted)
    {
        using var kept = new PooledBufferWriter();
        long maxTimestamp = RecordBatchHeader.NoTimestamp;
        foreach (RowInfo row in group)
        {
            foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(await store.ReadAsync(row, keep: false).ConfigureAwait(false)))
            {
                ReadOnlyMemory<byte> cleaned = cleaner.Clean(batch);
                if (!cleaned.IsEmpty)
                {
                    aborted.AddRange(cleaner.Aborted is { } transaction ? [transaction] : []);
                    maxTimestamp = Math.Max(maxTimestamp, new RecordBatchHeader(cleaned.Span).MaxTimestamp);
                    cleaned.Span.CopyTo(kept.GetSpan(cleaned.Length));
                    kept.Advance(cleaned.Length);
                }
            }
        }

        return kept.WrittenCount == 0
            ? null
            : new SegmentRow(
                leadership.ClaimedEpoch, group[0].BaseOffset, group[^1].NextOffset, maxTimestamp, kept.WrittenSpan.ToArray());
    }

    /// <summary>Puts the cleaned row in the place of its group; false when the log has changed since the group was read.</summary>
    private async Task<bool> SwapAsync(
        CompactionPlan<RowInfo> plan, List<RowInfo> group, SegmentRow? cleaned, List<LogAbortedTransaction> aborted)
    {
        int first = rows.IndexOf(group[0].BaseOffset);
        if (!leadership.IsLeader || plan.Generation != rows.Generation || !rows.All.Skip(first).Take(group.Count).SequenceEqual(group))
            return false;

        rows.Replace(first, group.Count, cleaned is null ? null : await merger.InsertAsync(cleaned).ConfigureAwait(false));
        rows.ReplaceAborted(group[0].BaseOffset, group[^1].NextOffset, aborted);
        return await leadership.TryCheckpointAndCollectAsync().ConfigureAwait(false);
    }

    private async Task<bool> FinishAsync(CompactionPlan<RowInfo> plan, long cleanedTo, long horizon)
    {
        if (plan.Generation != rows.Generation || !leadership.IsLeader)
            return false;

        _nextHorizonMs = horizon;
        if (cleanedTo <= rows.CleanedOffset)
            return true;

        rows.CleanedOffset = cleanedTo;
        return await leadership.TryCheckpointAsync().ConfigureAwait(false);
    }
}
