namespace Arus.Storage;

/// <summary>Finds records by their timestamps, in compressed batches too. Thread-safe; the work is done on a read thread.</summary>
internal sealed class TimestampSearch(LogContext log, SegmentList segments)
{
    /// <summary>The first record that is as late as a timestamp; null when there is none.</summary>
    public Task<LogTimestamp?> FindFirstAsync(long timestamp) => log.ReadAsync(() => FindFirst(timestamp));

    /// <summary>The first of the records with the greatest timestamp; null in an empty log.</summary>
    public Task<LogTimestamp?> FindMaxAsync() => log.ReadAsync(FindMax);

    private LogTimestamp? FindFirst(long timestamp)
    {
        foreach (Segment segment in Readable().Where(segment => segment.MaxTimestamp >= timestamp))
        {
            SegmentPosition from = segments.LocateByTimestamp(segment, timestamp);
            int position = from.Position >= 0 ? from.Position : segment.LoadIndex(log).FloorByTimestamp(timestamp).Position;
            using var scanner = new SegmentScanner(segment.File, position, from.Size);
            while (scanner.ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch))
            {
                if (header.MaxTimestamp >= timestamp && BatchTimestamps.FindFirst(batch, timestamp, segments.LogStartOffset) is { } found)
                    return found;
            }
        }

        return null;
    }

    private LogTimestamp? FindMax()
    {
        long start = segments.LogStartOffset;
        Segment[] readable = [.. Readable()];
        if (readable.Length == 0)
            return null;

        // The first segment may begin before the log does; what it knows of itself counts only for the rest.
        long max = readable[0].BaseOffset < start ? MaxTimestampFrom(readable[0], start) : readable[0].MaxTimestamp;
        return FindFirst(readable.Skip(1).Aggregate(max, (greatest, segment) => Math.Max(greatest, segment.MaxTimestamp)));
    }

    private long MaxTimestampFrom(Segment segment, long start)
    {
        long max = RecordBatchHeader.NoTimestamp;
        using var scanner = new SegmentScanner(segment.File, 0, segments.LocateByTimestamp(segment, 0).Size);
        while (scanner.ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch))
        {
            if (header.BaseOffset >= start)
                max = Math.Max(max, header.MaxTimestamp);
            else if (header.NextOffset > start)
                max = Math.Max(max, BatchTimestamps.MaxFrom(batch, start));
        }

        return max;
    }

    private IEnumerable<Segment> Readable()
    {
        long start = segments.LogStartOffset;
        return segments.All.Where(segment => segment.Size > 0 && segment.NextOffset > start);
    }
}
