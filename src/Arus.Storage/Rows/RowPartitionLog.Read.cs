namespace Arus.Storage;

/// <content>Reading rows.</content>
public sealed partial class RowPartitionLog
{
    /// <summary>A row may be merged away between looking it up and reading it; then it is looked up again.</summary>
    private const int ReadAttempts = 16;

    public async ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch)
    {
        long from = offset;
        for (int attempt = 0; attempt < ReadAttempts;)
        {
            RowInfo row;
            lock (_lock)
            {
                if (offset < _logStart || offset > _end)
                {
                    return Answer([], ErrorCode.OffsetOutOfRange);
                }

                int index = FindRow(from);
                if (index == _rows.Count)
                {
                    return Answer([]);
                }

                row = _rows[index];
            }

            if (await TryReadRowAsync(row).ConfigureAwait(false) is not { } batches)
            {
                attempt++;
                continue;
            }

            int position = PositionOf(batches.Span, offset);
            if (position < batches.Length)
            {
                int length = BatchSlicing.WholeBatches(batches.Span[position..], maxBytes, minOneBatch);
                return Answer(length == 0 ? [] : [batches.Slice(position, length)]);
            }

            from = row.NextOffset; // Compaction took what the row had from the offset on.
        }

        throw await MissingAsync($"The row of offset {offset} of {Partition} is missing from the store.").ConfigureAwait(false);
    }

    /// <summary>A row that is missing again and again was replaced by a newer leader, if there is one: then this log is over.</summary>
    private async Task<LogException> MissingAsync(string message)
    {
        int leader = await ReadLeaderAsync().ConfigureAwait(false);
        if (leader <= _claimedEpoch)
        {
            return new LogException(message);
        }

        var fenced = new LogException(FencedBy(leader, _claimedEpoch), error: ErrorCode.FencedLeaderEpoch);
        Fail(fenced);
        return fenced;
    }

    /// <summary>The index of the first row that ends behind an offset; the number of rows when there is none. The caller holds the lock.</summary>
    private int FindRow(long offset)
    {
        int low = 0;
        for (int high = _rows.Count; low < high;)
        {
            int middle = (low + high) >>> 1;
            if (_rows[middle].NextOffset > offset)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
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

        throw await MissingAsync($"The rows of {Partition} changed {ReadAttempts} times while they were searched.").ConfigureAwait(false);
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

    /// <summary>Where the first batch begins that holds an offset or a later one.</summary>
    private static int PositionOf(ReadOnlySpan<byte> batches, long offset)
    {
        int position = 0;
        while (position < batches.Length && new RecordBatchHeader(batches[position..]) is var header && header.NextOffset <= offset)
        {
            position += header.SizeInBytes;
        }

        return position;
    }

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, HighWatermark, LogStartOffset, LogEndOffset, records);

    private async Task<ReadOnlyMemory<byte>> ReadRowAsync(RowInfo row) =>
        await TryReadRowAsync(row, keep: false).ConfigureAwait(false) ?? throw new LogException($"The row {row.Key} of {Partition} is missing from the store.");

    /// <param name="keep">Whether the cache is to keep it.</param>
    private async Task<ReadOnlyMemory<byte>?> TryReadRowAsync(RowInfo row, bool keep = true)
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
        if (keep)
        {
            lock (_lock)
            {
                _cache.Add(key, batches);
            }
        }

        return batches;
    }
}
