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
        long end = segments.VisibleEnd;
        foreach (Segment segment in Readable().Where(segment => segment.MaxTimestamp >= timestamp))
        {
            SegmentPosition from = segments.LocateByTimestamp(segment, timestamp);
            int position = from.Position >= 0 ? from.Position : segment.LoadIndex(log).FloorByTimestamp(timestamp).Position;
            using var scanner = new SegmentScanner(segment.File, position, from.Size);
            while (scanner.ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch))
            {
                if (header.NextOffset > end)
                    return null;

                if (header.MaxTimestamp >= timestamp && BatchTimestamps.FindFirst(batch, timestamp, segments.LogStartOffset) is { } found)
                    return found;
            }
        }

        return null;
    }

    private LogTimestamp? FindMax()
    {
        (long start, long end) = (segments.LogStartOffset, segments.VisibleEnd);
        long max = RecordBatchHeader.NoTimestamp;
        bool any = false;
        foreach (Segment segment in Readable().TakeWhile(segment => segment.BaseOffset < end))
        {
            // What a segment knows of itself counts only when the log neither begins nor ends within it.
            long greatest = segment.NextOffset > end ? MaxTimestampBefore(segment, start, end)
                : segment.BaseOffset < start ? MaxTimestampFrom(segment, 0, start, end)
                : segment.MaxTimestamp;
            (max, any) = (Math.Max(max, greatest), true);
        }

        return any ? FindFirst(max) : null;
    }

    /// <summary>Of a segment that goes on behind what can be seen: its index knows most of it, unless the log begins within it.</summary>
    private long MaxTimestampBefore(Segment segment, long start, long end)
    {
        if (segment.BaseOffset < start)
            return MaxTimestampFrom(segment, 0, start, end);

        IndexEntry known = segments.FloorByOffset(segment, end) ?? segment.LoadIndex(log).FloorByOffset(end - segment.BaseOffset);
        return Math.Max(known.MaxTimestampBefore, MaxTimestampFrom(segment, known.Position, start, end));
    }

    private long MaxTimestampFrom(Segment segment, int position, long start, long end)
    {
        long max = RecordBatchHeader.NoTimestamp;
        using var scanner = new SegmentScanner(segment.File, position, segments.LocateByTimestamp(segment, 0).Size);
        while (scanner.ReadNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch) && header.NextOffset <= end)
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
