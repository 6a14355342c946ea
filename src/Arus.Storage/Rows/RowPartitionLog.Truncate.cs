namespace Arus.Storage;

/// <content>Cutting the log's end.</content>
public sealed partial class RowPartitionLog
{
    /// <exception cref="LogException">This log does not lead, or another leader was faster; then nothing has changed.</exception>
    public ValueTask TruncateToAsync(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return new ValueTask(RunAsync(async () =>
        {
            if (!_isLeader)
            {
                throw new LogException($"This log does not lead {Partition}, so it cannot truncate it.", error: ErrorCode.NotLeaderOrFollower);
            }

            if (offset < _next)
            {
                await TruncateAsync(offset).ConfigureAwait(false);
            }

            return true;
        }));
    }

    private async Task TruncateAsync(long offset)
    {
        int first = FindRow(offset);
        RowInfo? kept = null;
        long end = offset;
        if (first < _rows.Count && _rows[first].BaseOffset < offset)
        {
            (kept, end) = await KeepBeginningAsync(_rows[first], offset).ConfigureAwait(false);
        }

        RowInfo[] rows = [.. _rows[..first], .. kept is { } row ? [row] : Array.Empty<RowInfo>()];
        ProducerStateManager producers = await RebuildProducersAsync(rows).ConfigureAwait(false);
        lock (_lock)
        {
            _garbage.AddRange(_rows.Skip(first).Select(gone => gone.Key));
            _rows = [.. rows];
            _producers = producers;
            _epochs.TruncateTo(end);
            _generation++;
            _cleanedOffset = Math.Min(_cleanedOffset, end);
            Volatile.Write(ref _logStart, Math.Min(_logStart, end));
            Volatile.Write(ref _next, end);
            Volatile.Write(ref _end, end);
            Volatile.Write(ref _sizeBytes, _rows.Sum(info => (long)info.Size));
        }

        if (!await TryCheckpointAsync().ConfigureAwait(false))
        {
            throw new LogException($"The log of {Partition} failed: {_failure!.Message}", _failure);
        }

        await CollectGarbageAsync().ConfigureAwait(false);
    }

    /// <summary>Writes the whole batches before an offset as a row of their own; none when the first batch holds it.</summary>
    private async Task<(RowInfo? Row, long End)> KeepBeginningAsync(RowInfo row, long offset)
    {
        ReadOnlyMemory<byte> batches = await ReadRowAsync(row).ConfigureAwait(false);
        (int length, long end, long maxTimestamp) = (0, row.BaseOffset, RecordBatchHeader.NoTimestamp);
        foreach (ReadOnlyMemory<byte> batch in BatchesOf(batches))
        {
            var header = new RecordBatchHeader(batch.Span);
            if (header.NextOffset > offset)
            {
                break;
            }

            (length, end, maxTimestamp) = (length + batch.Length, header.NextOffset, Math.Max(maxTimestamp, header.MaxTimestamp));
        }

        return length == 0
            ? (null, end)
            : (await InsertBesideAsync(new SegmentRow(_claimedEpoch, row.BaseOffset, end, maxTimestamp, batches[..length])).ConfigureAwait(false), end);
    }

    /// <summary>The head knows the producers at the end only, so the rows that stay are read.</summary>
    private async Task<ProducerStateManager> RebuildProducersAsync(RowInfo[] rows)
    {
        var producers = new ProducerStateManager();
        foreach (RowInfo row in rows)
        {
            foreach (ReadOnlyMemory<byte> batch in BatchesOf(await ReadRowAsync(row).ConfigureAwait(false)))
            {
                var header = new RecordBatchHeader(batch.Span);
                if (header.HasProducerId)
                {
                    producers.Add(header, header.BaseOffset, NowMs);
                }
            }
        }

        return producers;
    }
}
