namespace Arus.Storage;

/// <summary>Reads batches: from the tail cache at once, otherwise from the files on a read thread. Thread-safe.</summary>
internal sealed class LogReader(LogContext log, SegmentList segments)
{
    /// <summary>No single read is larger, whatever the caller asks for, unless one batch is.</summary>
    private const int MaxReadBytes = 16 << 20;

    /// <summary>Where the last read from a file ended: a reader that catches up goes on there.</summary>
    private Cursor? _cursor;

    public ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch)
    {
        if (log.Phase == LogPhase.Closed)
            return new ValueTask<LogReadResult>(Answer([], ErrorCode.NotLeaderOrFollower));

        maxBytes = Math.Min(maxBytes, MaxReadBytes);
        OffsetLookup lookup = segments.Find(offset, out TailChunk? chunk);
        if (lookup != OffsetLookup.Readable)
            return new ValueTask<LogReadResult>(Answer([], lookup == OffsetLookup.AtEnd ? ErrorCode.None : ErrorCode.OffsetOutOfRange));

        if (chunk is not null)
            return new ValueTask<LogReadResult>(Answer(segments.Tail.Read(chunk, offset, maxBytes, minOneBatch)));

        return ReadFileAsync(offset, maxBytes, minOneBatch);
    }

    /// <summary>Apart from <see cref="ReadAsync"/>, so that only a read from a file allocates a closure.</summary>
    private ValueTask<LogReadResult> ReadFileAsync(long offset, int maxBytes, bool minOneBatch) =>
        new(log.ReadAsync(() => ReadFile(offset, maxBytes, minOneBatch)));

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, segments.HighWatermark, segments.LogStartOffset, segments.LogEndOffset, records);

    private LogReadResult ReadFile(long offset, int maxBytes, bool minOneBatch)
    {
        try
        {
            if (segments.Locate(offset) is not { } found)
                return Answer([], offset < segments.LogStartOffset ? ErrorCode.OffsetOutOfRange : ErrorCode.None);

            Segment segment = found.Segment;
            int position = Volatile.Read(ref _cursor) is { } cursor && cursor.Segment == segment && cursor.Offset == offset
                ? cursor.Position
                : found.Position >= 0 ? found.Position
                : segment.LoadIndex(log).FloorByOffset(offset - segment.BaseOffset);
            return Answer(ReadSegment(segment, found.Size, position, offset, maxBytes, minOneBatch));
        }
        catch (Exception error) when (log.Phase != LogPhase.Open && error is (IOException or LogException))
        {
            return Answer([], ErrorCode.NotLeaderOrFollower);
        }
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
            return [];

        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        ReadExactly(segment, position, bytes);
        length = BatchSlicing.WholeBatches(bytes, length, minOneBatch, out long nextOffset);
        Volatile.Write(ref _cursor, new Cursor(segment, nextOffset, position + length));
        return [bytes.AsMemory(0, length)];
    }

    private static void ReadExactly(Segment segment, int position, Span<byte> buffer)
    {
        int read = segment.File.Read(position, buffer);
        if (read != buffer.Length)
            throw new LogException($"{segment.File.Path} ends at byte {position + read}, and {position + buffer.Length} were written.");
    }

    private sealed record Cursor(Segment Segment, long Offset, int Position);
}
