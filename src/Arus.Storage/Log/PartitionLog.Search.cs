namespace Arus.Storage;

/// <content>Looking records up by their timestamps, in compressed batches too. On a read thread.</content>
internal sealed partial class PartitionLog
{
    public ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp) => new(OnReadThread(() => FindByTimestamp(timestamp)));

    public ValueTask<LogTimestamp?> FindMaxTimestampAsync() => new(OnReadThread(FindMaxTimestamp));

    private LogTimestamp? FindByTimestamp(long timestamp)
    {
        foreach (Segment segment in SegmentsFrom(LogStartOffset))
        {
            if (segment.MaxTimestamp < timestamp)
            {
                continue;
            }

            (int size, int position) = FloorByTimestamp(segment, timestamp);
            if (FindInSegment(segment, position, size, timestamp) is { } found)
            {
                return found;
            }
        }

        return null;
    }

    private LogTimestamp? FindMaxTimestamp()
    {
        long start = LogStartOffset;
        List<Segment> segments = SegmentsFrom(start);
        if (segments.Count == 0)
        {
            return null;
        }

        // The first segment may begin before the log does; what it knows of itself counts only for the rest.
        long max = segments[0].BaseOffset < start ? MaxTimestampFrom(segments[0], start) : segments[0].MaxTimestamp;
        foreach (Segment segment in segments.Skip(1))
        {
            max = Math.Max(max, segment.MaxTimestamp);
        }

        return FindByTimestamp(max);
    }

    private long MaxTimestampFrom(Segment segment, long start)
    {
        long max = RecordBatchHeader.NoTimestamp;
        using var scanner = new SegmentScanner(segment.File, 0, SizeOf(segment));
        while (scanner.Next(out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
        {
            var header = new RecordBatchHeader(batch.Span);
            if (header.NextOffset <= start)
            {
                continue;
            }

            if (header.BaseOffset >= start)
            {
                max = Math.Max(max, header.MaxTimestamp);
                continue;
            }

            foreach (LogTimestamp record in BatchTimestamps.Read(batch, start))
            {
                max = Math.Max(max, record.Timestamp);
            }
        }

        return max;
    }

    private LogTimestamp? FindInSegment(Segment segment, int position, int size, long timestamp)
    {
        long start = LogStartOffset;
        using var scanner = new SegmentScanner(segment.File, position, size);
        while (scanner.Next(out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
        {
            var header = new RecordBatchHeader(batch.Span);
            if (header.MaxTimestamp < timestamp || header.NextOffset <= start)
            {
                continue;
            }

            foreach (LogTimestamp record in BatchTimestamps.Read(batch, start))
            {
                if (record.Timestamp >= timestamp)
                {
                    return record;
                }
            }
        }

        return null;
    }

    private (int Size, int Position) FloorByTimestamp(Segment segment, long timestamp)
    {
        SegmentIndex? index;
        lock (_stateLock)
        {
            index = segment.Index;
            if (index is not null)
            {
                return (segment.Size, index.FloorByTimestamp(timestamp));
            }

            index = segment.File.Index;
        }

        index ??= LoadIndex(segment);
        return (segment.Size, index.FloorByTimestamp(timestamp));
    }

    private int SizeOf(Segment segment)
    {
        lock (_stateLock)
        {
            return segment.Size;
        }
    }

    private List<Segment> SegmentsFrom(long offset)
    {
        lock (_stateLock)
        {
            return [.. _segments.Where(segment => segment.Size > 0 && segment.NextOffset > offset)];
        }
    }

    private Task<T> OnReadThread<T>(Func<T> action)
    {
        var work = new ReadWork<T>(this, action);
        _shared.Scheduler.Queue(LogLane.Read, _affinity, work);
        return work.Task;
    }

    private sealed class ReadWork<T>(PartitionLog log, Func<T> action, bool retries = true) : ILogWork
    {
        private const int Attempts = 16;
        private readonly TaskCompletionSource<T> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Task => _source.Task;

        public void Execute()
        {
            for (int attempt = 1; ; attempt++)
            {
                try
                {
                    _source.SetResult(action());
                    return;
                }
                catch (FileRetiredException) when (retries && attempt < Attempts && log._phase == LogPhase.Open)
                {
                    // Deleted or compacted since it was located: look again.
                }
                catch (FileRetiredException error) when (!retries)
                {
                    _source.SetException(error);
                    return;
                }
                catch (Exception error)
                {
                    _source.SetException(
                        error as LogException ?? new LogException($"{log._directory} cannot be read: {error.Message}", error));
                    return;
                }
            }
        }
    }
}
