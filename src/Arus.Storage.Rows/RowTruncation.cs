namespace Arus.Storage.Rows;

/// <summary>Cuts the log's end. Used inside operations.</summary>
internal sealed class RowTruncation(
    RowLogContext log, RowStore store, RowList rows, RowLeadership leadership, ProducerStateManager producers, RowMerger merger)
{
    /// <exception cref="LogException">This log does not lead, or another leader was faster; then nothing has changed.</exception>
    public async Task<bool> TruncateToAsync(long offset)
    {
        if (!leadership.IsLeader)
        {
            throw new LogException(
                $"This log does not lead {log.Partition}, so it cannot truncate it.", error: ErrorCode.NotLeaderOrFollower);
        }

        if (offset >= rows.NextOffset)
            return false;

        int kept = rows.IndexOf(offset);
        (RowInfo? cut, long end) = kept < rows.Count && rows.All[kept].BaseOffset < offset
            ? await CutAsync(rows.All[kept], offset).ConfigureAwait(false)
            : (null, offset);
        producers.ReplaceWith(await RebuildProducersAsync(kept, cut).ConfigureAwait(false));
        rows.TruncateTo(end, kept, cut, producers);
        if (!await leadership.TryCheckpointAsync().ConfigureAwait(false))
            log.ThrowIfUnusable(isClosed: false);

        await leadership.CollectGarbageAsync().ConfigureAwait(false);
        return true;
    }

    /// <summary>Writes the whole batches before an offset as a row of their own; none when the first batch holds it.</summary>
    private async Task<(RowInfo? Row, long End)> CutAsync(RowInfo row, long offset)
    {
        ReadOnlyMemory<byte> batches = await store.ReadAsync(row).ConfigureAwait(false);
        (int length, long end, long maxTimestamp) = (0, row.BaseOffset, RecordBatchHeader.NoTimestamp);
        foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(batches))
        {
            var header = new RecordBatchHeader(batch.Span);
            if (header.NextOffset > offset)
                break;

            (length, end, maxTimestamp) = (length + batch.Length, header.NextOffset, Math.Max(maxTimestamp, header.MaxTimestamp));
        }

        if (length == 0)
            return (null, end);

        var cut = new SegmentRow(leadership.ClaimedEpoch, row.BaseOffset, end, maxTimestamp, batches[..length]);
        return (await merger.InsertAsync(cut).ConfigureAwait(false), end);
    }

    /// <summary>The head knows the producers at the log's end only, so the rows that stay are read.</summary>
    private async Task<ProducerStateManager> RebuildProducersAsync(int kept, RowInfo? cut)
    {
        var rebuilt = new ProducerStateManager();
        RowInfo[] last = cut is { } row ? [row] : [];
        foreach (RowInfo info in rows.All.Take(kept).Concat(last).ToArray())
        {
            foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(await store.ReadAsync(info).ConfigureAwait(false)))
                rebuilt.AddStored(batch.Span, log.NowMs);
        }

        return rebuilt;
    }
}
