namespace Arus.Storage;

/// <content>
/// Compaction: the last record of each key stays. Reading and cleaning go on beside appends; only putting a cleaned row in the place of
/// others is an operation.
/// </content>
public sealed partial class RowPartitionLog
{
    /// <summary>When the next tombstone may go, as far as this leader knows.</summary>
    private long _nextHorizonMs = long.MaxValue;

    private async Task<(int Rows, long BytesFreed)> CompactAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await TryCompactAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is not LogException)
        {
            throw new LogException($"Compaction of {Partition} stopped, and nothing was lost: {error.Message}", error);
        }
    }

    private async Task<(int Rows, long BytesFreed)> TryCompactAsync(CancellationToken cancellationToken)
    {
        CompactionPlan? plan = await RunAsync(() => Task.FromResult(PlanCompaction())).ConfigureAwait(false);
        if (plan is null || await MapKeysAsync(plan).ConfigureAwait(false) is not { } map)
        {
            return (0, 0);
        }

        (int rows, long freed, long horizon) = (0, 0, long.MaxValue);
        foreach (List<RowInfo> group in Group(plan.Rows.TakeWhile(row => row.BaseOffset < map.EndOffset)))
        {
            if (cancellationToken.IsCancellationRequested || await CleanAsync(plan, group, map).ConfigureAwait(false) is not { } cleaned)
            {
                return (rows, freed); // Stopped, or retention took a row; the next pass goes on.
            }

            long before = group.Sum(row => (long)row.Size);
            if (cleaned.Changed && await RunAsync(() => SwapAsync(plan, group, cleaned.Row)).ConfigureAwait(false))
            {
                (rows, freed) = (rows + group.Count, freed + before - (cleaned.Row?.Batches.Length ?? 0));
            }

            horizon = Math.Min(horizon, cleaned.NextHorizonMs);
        }

        await RunAsync(async () =>
        {
            if (plan.Generation == _generation && _isLeader)
            {
                _nextHorizonMs = horizon;
                if (map.EndOffset > _cleanedOffset)
                {
                    _cleanedOffset = map.EndOffset;
                    await TryCheckpointAsync().ConfigureAwait(false);
                }
            }

            return true;
        }).ConfigureAwait(false);
        return (rows, freed);
    }

    /// <summary>What may be cleaned now; null when it is not worth it, or not this log's to do.</summary>
    private CompactionPlan? PlanCompaction()
    {
        (TopicConfig config, long nowMs) = (Config, NowMs);
        RowInfo[] cleanable = [.. _rows.SkipLast(1).TakeWhile(row => CompactionRules.IsOldEnough(config, PieceOf(row, nowMs), nowMs))];
        return _isLeader && CompactionRules.IsDue(config, Array.ConvertAll(cleanable, row => PieceOf(row, nowMs)), _cleanedOffset, _nextHorizonMs, nowMs)
            ? new CompactionPlan(cleanable, _cleanedOffset, _generation, _producers.All.Select(pair => pair.Value.LastOffset).ToHashSet(), nowMs)
            : null;
    }

    /// <summary>A row keeps no times but its greatest timestamp; one without any counts as new.</summary>
    private static CompactionPiece PieceOf(RowInfo row, long nowMs)
    {
        long written = row.MaxTimestamp >= 0 ? row.MaxTimestamp : nowMs;
        return new CompactionPiece(row.NextOffset, row.Size, written, written);
    }

    private async Task<OffsetMap?> MapKeysAsync(CompactionPlan plan)
    {
        var map = new OffsetMap(_options.CompactionMapBytes) { EndOffset = plan.FirstDirtyOffset };
        using var scratch = new PooledBufferWriter();
        foreach (RowInfo row in plan.Rows.Where(row => row.NextOffset > plan.FirstDirtyOffset))
        {
            if (await TryReadRowAsync(row, keep: false).ConfigureAwait(false) is not { } batches)
            {
                return null;
            }

            if (!BatchesOf(batches).All(batch => CompactionKeys.TryAdd(map, batch, plan.FirstDirtyOffset, scratch)))
            {
                return map; // Full: the next pass goes on from here.
            }

            map.EndOffset = row.NextOffset;
        }

        return map;
    }

    /// <summary>Neighbours whose sum fits into one merged row are made one.</summary>
    private IEnumerable<List<RowInfo>> Group(IEnumerable<RowInfo> rows)
    {
        List<RowInfo> group = [];
        long size = 0;
        foreach (RowInfo row in rows)
        {
            if (group.Count > 0 && size + row.Size > _options.MergedRowBytes)
            {
                yield return group;
                (group, size) = ([], 0);
            }

            group.Add(row);
            size += row.Size;
        }

        if (group.Count > 0)
        {
            yield return group;
        }
    }

    /// <summary>What stays of a group; null when one of its rows is gone.</summary>
    private async Task<CleanedRows?> CleanAsync(CompactionPlan plan, List<RowInfo> group, OffsetMap map)
    {
        using var cleaner = new BatchCleaner(map, plan.LastOffsetsOfProducers, plan.NowMs, (long)Config.DeleteRetention.TotalMilliseconds);
        using var kept = new PooledBufferWriter();
        long maxTimestamp = RecordBatchHeader.NoTimestamp;
        bool changed = group.Count > 1;
        foreach (RowInfo row in group)
        {
            if (await TryReadRowAsync(row, keep: false).ConfigureAwait(false) is not { } batches)
            {
                return null;
            }

            foreach (ReadOnlyMemory<byte> batch in BatchesOf(batches))
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
            : new SegmentRow(_claimedEpoch, group[0].BaseOffset, group[^1].NextOffset, maxTimestamp, kept.WrittenSpan.ToArray());
        return new CleanedRows(result, changed, cleaner.NextHorizonMs);
    }

    /// <summary>Puts the cleaned row in the place of its group; false when the log is not any more what it was cleaned from.</summary>
    private async Task<bool> SwapAsync(CompactionPlan plan, List<RowInfo> group, SegmentRow? cleaned)
    {
        int first = _rows.IndexOf(group[0]);
        if (!_isLeader || plan.Generation != _generation || first < 0 || !_rows.Skip(first).Take(group.Count).SequenceEqual(group))
        {
            return false;
        }

        Replace(first, group.Count, cleaned is null ? null : await InsertBesideAsync(cleaned).ConfigureAwait(false));
        if (!await TryCheckpointAsync().ConfigureAwait(false))
        {
            return false;
        }

        await CollectGarbageAsync().ConfigureAwait(false);
        return true;
    }

    /// <param name="FirstDirtyOffset">Everything before it was cleaned in an earlier pass.</param>
    private sealed record CompactionPlan(
        RowInfo[] Rows, long FirstDirtyOffset, int Generation, HashSet<long> LastOffsetsOfProducers, long NowMs);

    private sealed record CleanedRows(SegmentRow? Row, bool Changed, long NextHorizonMs);
}
