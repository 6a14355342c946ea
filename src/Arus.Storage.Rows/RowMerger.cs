namespace Arus.Storage.Rows;

/// <summary>
/// Writes rows that are made from others, and merges neighbouring small rows. What is to be written is listed in the head first, as
/// garbage: a leader that dies meanwhile leaves nothing that its successor does not delete.
/// </summary>
internal sealed class RowMerger(RowLogContext log, RowStore store, RowList rows, RowLeadership leadership, RowOperations operations)
{
    private const int MaxKeys = 1000;

    private int _lastNumber;

    /// <summary>Merges neighbouring small rows. Rows are read, written and deleted beside appends; the rest is operations.</summary>
    /// <returns>How many were merged.</returns>
    /// <exception cref="LogException">Merging stopped; nothing was lost.</exception>
    public async Task<int> MergeAsync(CancellationToken cancellationToken)
    {
        int merged = 0;
        long end = rows.NextOffset;
        for (long from = 0; from < end && !cancellationToken.IsCancellationRequested;)
        {
            if (await operations.RunAsync(() => PlanAsync(from, end)).ConfigureAwait(false) is not { } plan)
                break;

            from = plan.Info.NextOffset;
            if (await TryMergeAsync(plan).ConfigureAwait(false))
                merged += plan.Parts.Length;
        }

        return merged;
    }

    /// <summary>Inserts a row made from others, under a key that no row has had. Used inside operations.</summary>
    public async Task<RowInfo> InsertAsync(SegmentRow row)
    {
        byte[] bytes = row.Serialize();
        for (int attempt = 0; attempt < MaxKeys; attempt++)
        {
            RowInfo info = await IntendAsync(row.InfoIn(0)).ConfigureAwait(false);
            if (await store.TryInsertAsync(info.Key, bytes).ConfigureAwait(false))
                return info;

            rows.Abandon(info.Key);
        }

        throw new LogException($"{log.Partition} has {MaxKeys} rows of epoch {leadership.ClaimedEpoch} that are not its leader's.");
    }

    /// <summary>Names a row that is about to be made, in the stored head, too.</summary>
    private async Task<RowInfo> IntendAsync(RowInfo info)
    {
        do
        {
            info = info with { MergedEpoch = leadership.ClaimedEpoch, Number = ++_lastNumber };
        }
        while (rows.Garbage.Contains(info.Key) || rows.All.Any(row => row.IsSameRowAs(info)));

        rows.Intend(info.Key);
        if (!await leadership.TryCheckpointAsync().ConfigureAwait(false))
            log.ThrowIfUnusable(isClosed: false);

        return info;
    }

    /// <summary>The next rows that are worth merging, between two offsets; null when there are none, or this log does not lead.</summary>
    private async Task<MergePlan?> PlanAsync(long from, long end)
    {
        // The last row is not compacted, so it must not become one with the others.
        int kept = log.Config.Compact ? 1 : 0;
        for (int first = rows.IndexOf(from); leadership.IsLeader && first < rows.Count; first++)
        {
            long size = 0;
            int count = 0;
            while (first + count < rows.Count - kept && rows.All[first + count].NextOffset <= end
                && size + rows.All[first + count].Size <= log.Options.MergedRowBytes
                && IsOfOneTime(rows.All[first], rows.All[first + count]))
            {
                size += rows.All[first + count++].Size;
            }

            if (count >= log.Options.MergeRows)
            {
                RowInfo[] parts = [.. rows.All.Skip(first).Take(count)];
                var info = new RowInfo(
                    parts[0].BaseOffset, parts[^1].NextOffset, parts.Max(part => part.MaxTimestamp), (int)size, leadership.ClaimedEpoch);
                return new MergePlan(await IntendAsync(info).ConfigureAwait(false), parts);
            }
        }

        return null;
    }

    /// <summary>Rows that a log in files would have put into segments of their own (<c>segment.ms</c>) expire apart here, too.</summary>
    private bool IsOfOneTime(RowInfo first, RowInfo other) =>
        first.MaxTimestamp < 0 || other.MaxTimestamp - first.MaxTimestamp <= log.Config.SegmentMs;

    private async Task<bool> TryMergeAsync(MergePlan plan)
    {
        try
        {
            bool isWritten = await TryWriteAsync(plan).ConfigureAwait(false);
            bool isSwapped = await operations.RunAsync(() => SwapAsync(plan, isWritten)).ConfigureAwait(false);
            await leadership.CollectGarbageAsync().ConfigureAwait(false);
            return isSwapped;
        }
        catch
        {
            await leadership.RemoveMadeAsync([plan.Info.Key], plan.Info.MergedEpoch).ConfigureAwait(false);
            throw;
        }
    }

    private async Task<bool> TryWriteAsync(MergePlan plan)
    {
        byte[] batches = new byte[plan.Info.Size];
        int at = 0;
        try
        {
            foreach (RowInfo part in plan.Parts)
            {
                (await store.ReadAsync(part).ConfigureAwait(false)).CopyTo(batches.AsMemory(at));
                at += part.Size;
            }
        }
        catch (RowMissingException)
        {
            return false; // The log was cut or its records deleted meanwhile.
        }

        var row = new SegmentRow(
            plan.Info.MergedEpoch, plan.Info.BaseOffset, plan.Info.NextOffset, plan.Info.MaxTimestamp, batches);
        return await store.TryInsertAsync(plan.Info.Key, row.Serialize()).ConfigureAwait(false);
    }

    /// <summary>Puts the row in the place of its parts; false when the log has changed since they were looked up.</summary>
    private async Task<bool> SwapAsync(MergePlan plan, bool isWritten)
    {
        int first = rows.IndexOf(plan.Parts[0].BaseOffset);
        bool isWanted = isWritten && leadership.ClaimedEpoch == plan.Info.MergedEpoch && leadership.IsLeader
            && rows.Intents.Contains(plan.Info.Key) && rows.All.Skip(first).Take(plan.Parts.Length).SequenceEqual(plan.Parts);
        if (isWanted)
            rows.Replace(first, plan.Parts.Length, plan.Info);
        else
            rows.Abandon(plan.Info.Key);

        return await leadership.TryCheckpointAsync().ConfigureAwait(false) && isWanted;
    }

    /// <param name="Info">What the parts become.</param>
    private sealed record MergePlan(RowInfo Info, RowInfo[] Parts);
}
