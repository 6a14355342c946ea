namespace Arus.Storage.Rows;

/// <summary>Writes rows that are made from others, and merges neighbouring small rows. Used inside operations.</summary>
internal sealed class RowMerger(RowLogContext log, RowStore store, RowList rows, RowLeadership leadership)
{
    private const int MaxKeys = 1000;

    private int _lastNumber;

    /// <summary>Merges neighbouring small rows; the old ones are garbage once the head is written.</summary>
    /// <returns>How many were merged.</returns>
    public async Task<int> MergeAsync()
    {
        int merged = 0;

        // The last row is not compacted, so it must not become one with the others.
        int kept = log.Config.Compact ? 1 : 0;
        for (int first = 0; first < rows.Count; first++)
        {
            long size = 0;
            int count = 0;
            while (first + count < rows.Count - kept && size + rows.All[first + count].Size <= log.Options.MergedRowBytes
                && IsOfOneTime(rows.All[first], rows.All[first + count]))
            {
                size += rows.All[first + count++].Size;
            }

            if (count >= log.Options.MergeRows)
            {
                await MergeAsync(first, [.. rows.All.Skip(first).Take(count)], (int)size).ConfigureAwait(false);
                merged += count;
            }
        }

        return merged;
    }

    /// <summary>Rows that a log in files would have put into segments of their own (<c>segment.ms</c>) expire apart here, too.</summary>
    private bool IsOfOneTime(RowInfo first, RowInfo other) =>
        first.MaxTimestamp < 0 || other.MaxTimestamp - first.MaxTimestamp <= log.Config.SegmentMs;

    /// <summary>Inserts a row made from others, under a key that no row has had.</summary>
    public async Task<RowInfo> InsertAsync(SegmentRow row)
    {
        byte[] bytes = row.Serialize();
        for (int attempt = 0; attempt < MaxKeys; attempt++)
        {
            RowInfo info = row.InfoIn(++_lastNumber) with { MergedEpoch = leadership.ClaimedEpoch };
            if (!rows.Garbage.Contains(info.Key) && !rows.All.Contains(info)
                && await store.TryInsertAsync(info.Key, bytes).ConfigureAwait(false))
            {
                return info;
            }
        }

        throw new LogException($"{log.Partition} has {MaxKeys} rows of epoch {leadership.ClaimedEpoch} that are not its leader's.");
    }

    private async Task MergeAsync(int first, RowInfo[] parts, int size)
    {
        byte[] batches = new byte[size];
        int at = 0;
        foreach (RowInfo part in parts)
        {
            (await store.ReadAsync(part).ConfigureAwait(false)).CopyTo(batches.AsMemory(at));
            at += part.Size;
        }

        var row = new SegmentRow(
            leadership.ClaimedEpoch, parts[0].BaseOffset, parts[^1].NextOffset, parts.Max(part => part.MaxTimestamp), batches);
        rows.Replace(first, parts.Length, await InsertAsync(row).ConfigureAwait(false));
    }
}
