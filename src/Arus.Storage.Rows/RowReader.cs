namespace Arus.Storage.Rows;

/// <summary>Reads rows beside the operations. Thread-safe.</summary>
internal sealed class RowReader(RowLogContext log, RowStore store, RowList rows, RowLeadership leadership)
{
    private const int Attempts = 16;

    /// <param name="endOffset">No batch that ends behind it is read.</param>
    public async ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch, long endOffset) =>
        log.IsClosing
            ? Answer([], ErrorCode.NotLeaderOrFollower)
            : await RetryAsync(() => FindAsync(offset, maxBytes, minOneBatch, endOffset)).ConfigureAwait(false);

    public async ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp) =>
        await RetryAsync(() => FindFirstAsync(timestamp)).ConfigureAwait(false);

    public async ValueTask<LogTimestamp?> FindMaxTimestampAsync() => await RetryAsync(FindMaxAsync).ConfigureAwait(false);

    private async Task<LogReadResult> FindAsync(long offset, int maxBytes, bool minOneBatch, long endOffset)
    {
        long from = offset;
        while (true)
        {
            (bool inRange, RowInfo? found) = rows.Find(offset, from);
            if (!inRange || found is not { } row || row.BaseOffset >= endOffset)
                return Answer([], inRange ? ErrorCode.None : ErrorCode.OffsetOutOfRange);

            ReadOnlyMemory<byte> batches = await store.ReadAsync(row, keep: true).ConfigureAwait(false);
            int position = BatchSlicing.PositionOf(batches.Span, offset);
            if (position < batches.Length)
            {
                int length = BatchSlicing.WholeBatches(batches.Span[position..], maxBytes, minOneBatch, out _, endOffset);
                return Answer(length == 0 ? [] : [batches.Slice(position, length)]);
            }

            from = row.NextOffset; // Compaction took what the row had from the offset on.
        }
    }

    private async Task<LogTimestamp?> FindFirstAsync(long timestamp)
    {
        foreach (RowInfo row in rows.FindByTimestamp(timestamp))
        {
            foreach (ReadOnlyMemory<byte> batch in BatchSlicing.Split(await store.ReadAsync(row, keep: true).ConfigureAwait(false)))
            {
                if (new RecordBatchHeader(batch.Span).MaxTimestamp >= timestamp
                    && BatchTimestamps.FindFirst(batch, timestamp, rows.LogStartOffset) is { } found)
                {
                    return found;
                }
            }
        }

        return null;
    }

    private async Task<LogTimestamp?> FindMaxAsync()
    {
        long start = rows.LogStartOffset;
        RowInfo[] readable = rows.FindByTimestamp(long.MinValue);
        if (readable.Length == 0)
            return null;

        // The first row may begin before the log does; what it knows of itself counts only for the rest.
        long first = readable[0].MaxTimestamp;
        if (readable[0].BaseOffset < start)
        {
            ReadOnlyMemory<byte> batches = await store.ReadAsync(readable[0], keep: true).ConfigureAwait(false);
            first = BatchSlicing.Split(batches).Select(batch => BatchTimestamps.MaxFrom(batch, start))
                .Append(RecordBatchHeader.NoTimestamp).Max();
        }

        return await FindFirstAsync(readable.Skip(1).Aggregate(first, (greatest, row) => Math.Max(greatest, row.MaxTimestamp)))
            .ConfigureAwait(false);
    }

    /// <summary>
    /// Looks rows up again when one is gone, since it may have been merged. One that is missing again and again was replaced by a newer
    /// leader, if there is one.
    /// </summary>
    private async Task<T> RetryAsync<T>(Func<Task<T>> read)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await read().ConfigureAwait(false);
            }
            catch (RowMissingException error) when (attempt == Attempts)
            {
                int leader = await leadership.ReadLeaderAsync().ConfigureAwait(false);
                if (leader <= leadership.ClaimedEpoch)
                    throw new LogException(error.Message, error);

                var fenced = new LogException(log.FencedBy(leader, leadership.ClaimedEpoch), error: ErrorCode.FencedLeaderEpoch);
                log.Fail(fenced);
                throw fenced;
            }
            catch (RowMissingException)
            {
                // Looked up again.
            }
        }
    }

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, rows.EndOffset, rows.LogStartOffset, rows.EndOffset, records, rows.LastStableOffset);
}
