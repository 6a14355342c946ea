namespace Arus.Storage;

/// <content>Reading rows.</content>
public sealed partial class RowPartitionLog
{
    /// <summary>A row may be merged away between looking it up and reading it; then it is looked up again.</summary>
    private const int ReadAttempts = 16;

    public async ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch)
    {
        for (int attempt = 0; attempt < ReadAttempts; attempt++)
        {
            RowInfo row;
            lock (_lock)
            {
                if (offset < _logStart || offset > _end)
                {
                    return Answer([], ErrorCode.OffsetOutOfRange);
                }

                int index = _rows.FindIndex(info => info.NextOffset > offset);
                if (index < 0)
                {
                    return Answer([]);
                }

                row = _rows[index];
            }

            if (await TryReadRowAsync(row).ConfigureAwait(false) is { } batches)
            {
                return Answer(Slice(batches, offset, maxBytes, minOneBatch));
            }
        }

        throw new LogException($"The row of offset {offset} of {Partition} is missing from the store.");
    }

    public async ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp)
    {
        for (int attempt = 0; attempt < ReadAttempts; attempt++)
        {
            RowInfo[] rows;
            lock (_lock)
            {
                rows = [.. _rows.Where(row => row.MaxTimestamp >= timestamp && row.NextOffset > _logStart)];
            }

            bool missed = false;
            foreach (RowInfo row in rows)
            {
                if (await TryReadRowAsync(row).ConfigureAwait(false) is not { } batches)
                {
                    missed = true;
                    break;
                }

                foreach (ReadOnlyMemory<byte> batch in BatchesOf(batches))
                {
                    if (new RecordBatchHeader(batch.Span).MaxTimestamp >= timestamp
                        && BatchTimestamps.Read(batch, LogStartOffset).Find(record => record.Timestamp >= timestamp) is { LeaderEpoch: >= 0 } found)
                    {
                        return found;
                    }
                }
            }

            if (!missed)
            {
                return null;
            }
        }

        throw new LogException($"The rows of {Partition} changed {ReadAttempts} times while they were searched.");
    }

    public async ValueTask<LogTimestamp?> FindMaxTimestampAsync()
    {
        long max;
        lock (_lock)
        {
            if (_rows.Count == 0)
            {
                return null;
            }

            max = _rows.Max(row => row.MaxTimestamp);
        }

        return await FindByTimestampAsync(max).ConfigureAwait(false);
    }

    private static ReadOnlyMemory<byte>[] Slice(ReadOnlyMemory<byte> batches, long offset, int maxBytes, bool minOneBatch)
    {
        int position = 0;
        while (position < batches.Length && new RecordBatchHeader(batches.Span[position..]) is var header && header.NextOffset <= offset)
        {
            position += header.SizeInBytes;
        }

        int length = BatchSlicing.WholeBatches(batches.Span[position..], maxBytes, minOneBatch);
        return length == 0 ? [] : [batches.Slice(position, length)];
    }

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, HighWatermark, LogStartOffset, LogEndOffset, records);

    private async Task<ReadOnlyMemory<byte>> ReadRowAsync(RowInfo row) =>
        await TryReadRowAsync(row).ConfigureAwait(false) ?? throw new LogException($"The row {row.Key} of {Partition} is missing from the store.");

    private async Task<ReadOnlyMemory<byte>?> TryReadRowAsync(RowInfo row)
    {
        string key = row.Key;
        lock (_lock)
        {
            if (_cache.TryGet(key, out ReadOnlyMemory<byte> cached))
            {
                return cached;
            }
        }

        if (await RetryAsync(() => _store.ReadAsync(key)).ConfigureAwait(false) is not { } bytes)
        {
            return null;
        }

        ReadOnlyMemory<byte> batches = SegmentRow.Deserialize(key, bytes).Batches;
        lock (_lock)
        {
            _cache.Add(key, batches);
        }

        return batches;
    }
}
