namespace Arus.Storage.Rows;

/// <summary>Reads rows beside the operations. Thread-safe.</summary>
internal sealed class RowReader(RowLogContext log, RowStore store, RowList rows, RowLeadership leadership)
{
    /// <summary>A row may be merged away between looking it up and reading it; then it is looked up again.</summary>
    private const int Attempts = 16;

    public async ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch)
    {
        if (log.IsClosing)
            return Answer([], ErrorCode.NotLeaderOrFollower);

        long from = offset;
        for (int attempt = 0; attempt < Attempts;)
        {
            (bool inRange, RowInfo? found) = rows.Find(offset, from);
            if (!inRange || found is not { } row)
                return Answer([], inRange ? ErrorCode.None : ErrorCode.OffsetOutOfRange);

            if (await store.TryReadAsync(row, keep: true).ConfigureAwait(false) is not { } batches)
            {
                attempt++;
                continue;
            }

            int position = RowBatches.PositionOf(batches.Span, offset);
            if (position < batches.Length)
            {
                int length = BatchSlicing.WholeBatches(batches.Span[position..], maxBytes, minOneBatch);
                return Answer(length == 0 ? [] : [batches.Slice(position, length)]);
            }

            from = row.NextOffset; // Compaction took what the row had from the offset on.
        }

        throw await MissingAsync($"The row of offset {offset} of {log.Partition} is missing from the store.").ConfigureAwait(false);
    }

    public async ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp)
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            bool missed = false;
            foreach (RowInfo row in rows.FindByTimestamp(timestamp).TakeWhile(_ => !missed))
            {
                if (await store.TryReadAsync(row, keep: true).ConfigureAwait(false) is { } batches)
                {
                    foreach (ReadOnlyMemory<byte> batch in RowBatches.Of(batches))
                    {
                        if (new RecordBatchHeader(batch.Span).MaxTimestamp >= timestamp
                            && BatchTimestamps.FindFirst(batch, timestamp, rows.LogStartOffset) is { } found)
                        {
                            return found;
                        }
                    }
                }
                else
                {
                    missed = true;
                }
            }

            if (!missed)
                return null;
        }

        throw await MissingAsync($"The rows of {log.Partition} changed {Attempts} times while they were searched.").ConfigureAwait(false);
    }

    public async ValueTask<LogTimestamp?> FindMaxTimestampAsync()
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            long start = rows.LogStartOffset;
            RowInfo[] readable = rows.FindByTimestamp(long.MinValue);
            if (readable.Length == 0)
                return null;

            // The first row may begin before the log does; what it knows of itself counts only for the rest.
            long max = readable.Skip(1).Aggregate(RecordBatchHeader.NoTimestamp, (greatest, row) => Math.Max(greatest, row.MaxTimestamp));
            long? first = readable[0].BaseOffset >= start ? readable[0].MaxTimestamp
                : await MaxTimestampFromAsync(readable[0], start).ConfigureAwait(false);
            if (first is { } known)
                return await FindByTimestampAsync(Math.Max(max, known)).ConfigureAwait(false);
        }

        throw await MissingAsync($"The first row of {log.Partition} changed {Attempts} times while it was searched.").ConfigureAwait(false);
    }

    /// <summary>The greatest timestamp of a row's records from an offset on; null when the row is gone.</summary>
    private async Task<long?> MaxTimestampFromAsync(RowInfo row, long start) =>
        await store.TryReadAsync(row, keep: true).ConfigureAwait(false) is { } batches
            ? RowBatches.Of(batches).Select(batch => BatchTimestamps.MaxFrom(batch, start)).Append(RecordBatchHeader.NoTimestamp).Max()
            : null;

    /// <summary>A row that is missing again and again was replaced by a newer leader, if there is one.</summary>
    private async Task<LogException> MissingAsync(string message)
    {
        int leader = await leadership.ReadLeaderAsync().ConfigureAwait(false);
        if (leader <= leadership.ClaimedEpoch)
            return new LogException(message);

        var fenced = new LogException(log.FencedBy(leader, leadership.ClaimedEpoch), error: ErrorCode.FencedLeaderEpoch);
        log.Fail(fenced);
        return fenced;
    }

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, rows.EndOffset, rows.LogStartOffset, rows.EndOffset, records);
}
