using Arus.Compression;

namespace Arus.Storage;

internal static class BatchTimestamps
{
    /// <summary>The first record at or behind an offset that is as late as a timestamp; null when the batch has none.</summary>
    /// <exception cref="LogException">The batch cannot be decompressed here; the message says why.</exception>
    public static LogTimestamp? FindFirst(ReadOnlyMemory<byte> batch, long timestamp, long fromOffset)
    {
        List<LogTimestamp> records = Read(batch, fromOffset);
        int found = records.FindIndex(record => record.Timestamp >= timestamp);
        return found < 0 ? null : records[found];
    }

    /// <summary>The greatest timestamp of the records at or behind an offset; -1 when the batch has none.</summary>
    /// <exception cref="LogException">The batch cannot be decompressed here; the message says why.</exception>
    public static long MaxFrom(ReadOnlyMemory<byte> batch, long fromOffset) =>
        Read(batch, fromOffset).Aggregate(RecordBatchHeader.NoTimestamp, (greatest, record) => Math.Max(greatest, record.Timestamp));

    private static List<LogTimestamp> Read(ReadOnlyMemory<byte> batch, long fromOffset)
    {
        var header = new RecordBatchHeader(batch.Span);
        using var scratch = new PooledBufferWriter();
        ValidationResult opened = RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload);
        if (!opened.IsOk)
            throw new LogException($"The batch at offset {header.BaseOffset} cannot be searched: {opened.Message}");

        var records = new List<LogTimestamp>(header.Count);
        var reader = new RecordReader(payload.Span, header.Count);
        while (reader.TryRead(out RecordView record))
        {
            long offset = header.BaseOffset + record.OffsetDelta;
            if (offset >= fromOffset)
            {
                long timestamp = header.TimestampType == TimestampType.LogAppendTime
                    ? header.MaxTimestamp
                    : header.BaseTimestamp + record.TimestampDelta;
                records.Add(new LogTimestamp(offset, timestamp, header.PartitionLeaderEpoch));
            }
        }

        return records;
    }
}
