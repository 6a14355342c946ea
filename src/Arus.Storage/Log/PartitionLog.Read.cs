using System.Threading.Tasks.Sources;

namespace Arus.Storage;

/// <content>Readers: from the tail cache at once, else from the files on a read thread.</content>
internal sealed partial class PartitionLog
{
    /// <summary>No single read is larger, whatever is asked, unless one batch is.</summary>
    private const int MaxReadBytes = 16 << 20;

    /// <summary>Where the last read from a file ended: readers that catch up go on there.</summary>
    private ColdCursor _cursor;

    public ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch)
    {
        maxBytes = Math.Min(maxBytes, MaxReadBytes);
        TailChunk? chunk;
        lock (_stateLock)
        {
            if (_phase == LogPhase.Closed)
            {
                return new ValueTask<LogReadResult>(Answer([], ErrorCode.NotLeaderOrFollower));
            }

            if (offset < _logStart || offset > _nextOffset)
            {
                return new ValueTask<LogReadResult>(Answer([], ErrorCode.OffsetOutOfRange));
            }

            if (offset >= _highWatermark)
            {
                return new ValueTask<LogReadResult>(Answer([]));
            }

            int index = _cache.Find(offset);
            chunk = index < 0 ? null : _cache.Read(index);
        }

        if (chunk is not null)
        {
            return new ValueTask<LogReadResult>(Answer(ReadCached(chunk, offset, maxBytes, minOneBatch)));
        }

        var read = new ColdRead(this, offset, maxBytes, minOneBatch);
        _shared.Scheduler.Queue(LogLane.Read, _affinity, read);
        return read.AsValueTask();
    }

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, HighWatermark, LogStartOffset, LogEndOffset, records);

    private ReadOnlyMemory<byte>[] ReadCached(TailChunk chunk, long offset, int maxBytes, bool minOneBatch)
    {
        ReadOnlyMemory<byte> first = SliceChunk(chunk, offset, maxBytes, minOneBatch, out TailChunk? next);
        if (next is null)
        {
            return first.IsEmpty ? [] : [first];
        }

        var slices = new List<ReadOnlyMemory<byte>>(4) { first };
        int left = maxBytes - first.Length;
        while (next is not null)
        {
            ReadOnlyMemory<byte> slice = SliceChunk(next, next.BaseOffset, left, minOneBatch: false, out next);
            if (!slice.IsEmpty)
            {
                slices.Add(slice);
                left -= slice.Length;
            }
        }

        return [.. slices];
    }

    /// <summary>The whole batches of a chunk from an offset on, and the chunk that follows when there is room for more.</summary>
    private ReadOnlyMemory<byte> SliceChunk(TailChunk chunk, long offset, int maxBytes, bool minOneBatch, out TailChunk? next)
    {
        int position;
        int end;
        lock (_stateLock)
        {
            position = chunk.Floor(offset);
            end = chunk.Committed;
            chunk.Referenced = true;
        }

        ReadOnlySpan<byte> bytes = chunk.Bytes.AsSpan(0, end);
        while (position < end && new RecordBatchHeader(bytes[position..]) is var header && header.NextOffset <= offset)
        {
            position += header.SizeInBytes;
        }

        next = null;
        int length = BatchSlicing.WholeBatches(bytes[position..], maxBytes, minOneBatch);
        if (length > 0 && position + length == end)
        {
            lock (_stateLock)
            {
                int index = _cache.Find(chunk.NextOffset);
                next = chunk.Committed == end && index >= 0 && _cache.Read(index) is var other && other != chunk ? other : null;
            }
        }

        return chunk.Bytes.AsMemory(position, length);
    }

    private LogReadResult ReadFile(long offset, int maxBytes, bool minOneBatch)
    {
        const int Attempts = 16;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (!TryLocate(offset, out Segment? segment, out int size, out int position))
            {
                return offset < LogStartOffset ? Answer([], ErrorCode.OffsetOutOfRange) : Answer([]);
            }

            try
            {
                return Answer(ReadSegment(segment, size, position, offset, maxBytes, minOneBatch));
            }
            catch (FileRetiredException)
            {
                // Deleted or compacted since it was located.
            }
        }

        throw new LogException($"{_directory}: the segment of offset {offset} was replaced {Attempts} times while it was read.");
    }

    /// <summary>Finds the segment of an offset, and a position at or before its batch.</summary>
    private bool TryLocate(long offset, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Segment? segment, out int size, out int position)
    {
        SegmentIndex? index;
        lock (_stateLock)
        {
            (segment, size, position) = (FindSegment(offset), 0, 0);
            if (segment is null || offset < _logStart)
            {
                return false;
            }

            size = segment.Size;
            if (_cursor.Segment == segment && _cursor.Offset == offset)
            {
                position = _cursor.Position;
                return true;
            }

            index = segment.Index ?? segment.File.Index;
            position = index?.FloorByOffset(offset - segment.BaseOffset) ?? 0;
        }

        if (index is null)
        {
            position = LoadIndex(segment).FloorByOffset(offset - segment.BaseOffset);
        }

        return true;
    }

    /// <summary>The segment whose batches include the offset, or the first after it. Called under the state lock.</summary>
    private Segment? FindSegment(long offset)
    {
        int low = 0;
        for (int high = _segments.Count; low < high;)
        {
            int middle = (low + high) >>> 1;
            if (_segments[middle].NextOffset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        while (low < _segments.Count && _segments[low].Size == 0)
        {
            low++; // Compaction may leave nothing of a segment.
        }

        return low < _segments.Count ? _segments[low] : null;
    }

    /// <summary>Reads the index of a full segment; without a usable file an empty one, which means reading from the start.</summary>
    private SegmentIndex LoadIndex(Segment segment)
    {
        var loaded = new Segment(_directory, segment.BaseOffset, _shared.Files, null);
        SegmentIndex index =
            IndexFile.TryLoad(_shared.FileSystem, loaded, Config.IndexIntervalBytes, out _) && loaded.Size == segment.Size
                ? loaded.Index!
                : new SegmentIndex(Config.IndexIntervalBytes);
        segment.File.Index = index;
        return index;
    }

    private ReadOnlyMemory<byte>[] ReadSegment(Segment segment, int size, int position, long offset, int maxBytes, bool minOneBatch)
    {
        Span<byte> headerBytes = stackalloc byte[RecordBatchHeader.Size];
        int first = -1;
        while (position < size)
        {
            ReadExactly(segment, position, headerBytes);
            var header = new RecordBatchHeader(headerBytes);
            if (header.NextOffset > offset)
            {
                first = header.SizeInBytes;
                break;
            }

            position += header.SizeInBytes;
        }

        int length = Math.Min(minOneBatch ? Math.Max(first, maxBytes) : maxBytes, size - position);
        if (first < 0 || length < first)
        {
            return [];
        }

        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        ReadExactly(segment, position, bytes);
        length = BatchSlicing.WholeBatches(bytes, length, minOneBatch, out long nextOffset);
        lock (_stateLock)
        {
            _cursor = new ColdCursor(segment, nextOffset, position + length);
        }

        return [bytes.AsMemory(0, length)];
    }

    private static void ReadExactly(Segment segment, int position, Span<byte> buffer)
    {
        int read = segment.File.Read(position, buffer);
        if (read != buffer.Length)
        {
            throw new LogException($"{segment.File.Path} ends at byte {position + read}, and {position + buffer.Length} were written.");
        }
    }

    private readonly record struct ColdCursor(Segment? Segment, long Offset, int Position);

    private sealed class ColdRead(PartitionLog log, long offset, int maxBytes, bool minOneBatch) : ILogWork, IValueTaskSource<LogReadResult>
    {
        private ManualResetValueTaskSourceCore<LogReadResult> _core = new() { RunContinuationsAsynchronously = true };

        public ValueTask<LogReadResult> AsValueTask() => new(this, _core.Version);

        public void Execute()
        {
            try
            {
                _core.SetResult(log.ReadFile(offset, maxBytes, minOneBatch));
            }
            catch (Exception error) when (log._phase != LogPhase.Open && error is (IOException or LogException))
            {
                _core.SetResult(log.Answer([], ErrorCode.NotLeaderOrFollower));
            }
            catch (Exception error)
            {
                _core.SetException(error as LogException ?? new LogException($"{log._directory} cannot be read: {error.Message}", error));
            }
        }

        LogReadResult IValueTaskSource<LogReadResult>.GetResult(short token) => _core.GetResult(token);

        ValueTaskSourceStatus IValueTaskSource<LogReadResult>.GetStatus(short token) => _core.GetStatus(token);

        void IValueTaskSource<LogReadResult>.OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _core.OnCompleted(continuation, state, token, flags);
    }
}
