namespace Arus.Storage;

/// <summary>Reads batches: from the tail cache at once, otherwise from the files on a read thread. Thread-safe.</summary>
internal sealed class LogReader(LogContext log, SegmentList segments)
{
    /// <summary>No single read is larger, whatever the caller asks for, unless one batch is.</summary>
    private const int MaxReadBytes = 16 << 20;

    /// <summary>Where the last read from a file ended: a reader that catches up goes on there.</summary>
    private Cursor? _cursor;

    public ValueTask<LogReadResult> ReadAsync(long offset, int maxBytes, bool minOneBatch, LogReadLimit upTo, LogReadLease? lease)
    {
        if (log.Phase == LogPhase.Closed)
            return new ValueTask<LogReadResult>(Answer([], ErrorCode.NotLeaderOrFollower));

        maxBytes = Math.Min(maxBytes, MaxReadBytes);
        long end = upTo switch
        {
            LogReadLimit.HighWatermark => segments.VisibleEnd,
            LogReadLimit.LastStable => segments.LastStableOffset,
            _ => long.MaxValue,
        };
        OffsetLookup lookup = segments.Find(offset, upTo, out TailChunk? chunk, lease);
        if (lookup != OffsetLookup.Readable)
            return new ValueTask<LogReadResult>(Answer([], lookup == OffsetLookup.AtEnd ? ErrorCode.None : ErrorCode.OffsetOutOfRange));

        if (chunk is not null)
            return new ValueTask<LogReadResult>(Answer(segments.Tail.Read(chunk, offset, maxBytes, minOneBatch, end, lease)));

        return ReadFileAsync(new Request(offset, maxBytes, minOneBatch, end));
    }

    /// <summary>See <see cref="IPartitionLog.FindAbortedAsync"/>.</summary>
    public ValueTask<LogAbortedTransaction[]> FindAbortedAsync(long from, long to)
    {
        Segment[] involved = segments.WithAborted(from, to);
        var found = new List<LogAbortedTransaction>();
        return Array.TrueForAll(involved, segment => segments.TryFindAborted(segment, from, to, null, found))
            ? new ValueTask<LogAbortedTransaction[]>([.. found])
            : new ValueTask<LogAbortedTransaction[]>(log.ReadAsync(() => ReadAborted(from, to)));
    }

    private LogAbortedTransaction[] ReadAborted(long from, long to)
    {
        var found = new List<LogAbortedTransaction>();
        foreach (Segment segment in segments.WithAborted(from, to))
        {
            if (!segments.TryFindAborted(segment, from, to, null, found))
                segments.TryFindAborted(segment, from, to, segment.LoadAborted(log), found);
        }

        return [.. found];
    }

    /// <summary>Apart from <see cref="ReadAsync"/>, so that only a read from a file allocates a closure.</summary>
    private ValueTask<LogReadResult> ReadFileAsync(Request request) => new(log.ReadAsync(() => ReadFile(request)));

    private LogReadResult Answer(ReadOnlyMemory<byte>[] records, ErrorCode error = ErrorCode.None) =>
        new(error, segments.HighWatermark, segments.LogStartOffset, segments.LogEndOffset, records, segments.LastStableOffset);

    private LogReadResult ReadFile(Request request)
    {
        long offset = request.Offset;
        Segment? segment = null;
        try
        {
            if (segments.Locate(offset) is not { } found)
                return Answer([], offset < segments.LogStartOffset ? ErrorCode.OffsetOutOfRange : ErrorCode.None);

            segment = found.Segment;
            SegmentPosition at = Volatile.Read(ref _cursor) is { } cursor && cursor.Segment == segment && cursor.Offset == offset
                ? found with { Position = cursor.Position, FirstOffset = offset }
                : found.Position >= 0 ? found
                : found.At(segment.LoadIndex(log).FloorByOffset(offset - segment.BaseOffset));
            return Answer(ReadSegment(at, request));
        }
        catch (LogException damage) when (damage.Error == ErrorCode.CorruptMessage)
        {
            log.ReportDamage(segment, damage);
            return Answer([], ErrorCode.CorruptMessage);
        }
        catch (Exception error) when (log.Phase != LogPhase.Open && error is (IOException or LogException))
        {
            return Answer([], ErrorCode.NotLeaderOrFollower);
        }
    }

    private ReadOnlyMemory<byte>[] ReadSegment(SegmentPosition at, Request request)
    {
        ReadOnlyMemory<byte>[]? records;
        while ((records = TryRead(ref at, request)) is null)
        {
            // What is intact behind damage is served to those who ask for it.
            SharedFile file = at.Segment.File;
            long intact = new BatchSearch(file, at.Size).FindNext(at.Position, at.FirstOffset, at.NextOffset);
            if (intact < 0 || StoredBatches.BaseOffsetAt(file, intact) is var baseOffset && baseOffset > request.Offset)
                throw StoredBatches.Damaged(file.Path, at.Position, at.FirstOffset);

            at = at with { Position = (int)intact, FirstOffset = baseOffset };
        }

        return records;
    }

    /// <summary>Reads from the batch that holds an offset; null when it is damaged, or one before it.</summary>
    /// <param name="at">Where to look from; then the batch that was read or is damaged.</param>
    private ReadOnlyMemory<byte>[]? TryRead(ref SegmentPosition at, Request request)
    {
        long offset = request.Offset;
        Span<byte> headerBytes = stackalloc byte[RecordBatchHeader.Size];
        Segment segment = at.Segment;
        int first = -1;
        SegmentPosition? before = null;
        while (first < 0 && at.Position < at.Size)
        {
            headerBytes.Clear(); // Bytes that are no whole header are no plausible one.
            ReadExactly(segment, at.Position, headerBytes[..Math.Min(headerBytes.Length, at.Size - at.Position)]);
            var header = new RecordBatchHeader(headerBytes);
            if (!StoredBatches.IsPlausible(header, at.Size - at.Position, at.FirstOffset, at.NextOffset))
            {
                at = before ?? at; // The length of the one before may have led astray.
                return null;
            }

            if (header.NextOffset > offset)
            {
                // Compaction removes batches, and a wrong length skips them.
                bool isAstray = header.BaseOffset > offset && before is { } last
                    && !new BatchSearch(at.Segment.File, at.Size).IsIntact(last.Position, last.FirstOffset, at.NextOffset);
                if (isAstray)
                {
                    at = before!.Value;
                    return null;
                }

                first = header.NextOffset <= request.EndOffset ? header.SizeInBytes : int.MaxValue;
                break;
            }

            before = at;
            at = at with { Position = at.Position + header.SizeInBytes, FirstOffset = header.NextOffset };
        }

        int room = at.Size - at.Position;
        int length = Math.Min(request.MinOneBatch && first <= room ? Math.Max(first, request.MaxBytes) : request.MaxBytes, room);
        if (first < 0)
        {
            at = before ?? at; // The offset lies in this segment, and no batch has it.
            return null;
        }

        if (length < first)
            return [];

        // The header behind them tells whether the last batch's offsets are right, which no CRC covers.
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)Math.Min((long)length + RecordBatchHeader.Size, room));
        ReadExactly(segment, at.Position, bytes);
        length = IntactBatches(at, bytes, length, request, out long nextOffset);
        if (length == 0)
            return null;

        Volatile.Write(ref _cursor, new Cursor(segment, nextOffset, at.Position + length));
        return [bytes.AsMemory(0, length)];
    }

    /// <summary>How many bytes of whole, intact batches there are.</summary>
    private static int IntactBatches(
        SegmentPosition at, ReadOnlySpan<byte> bytes, int maxBytes, Request request, out long nextOffset)
    {
        int length = 0;
        long min = at.FirstOffset;
        nextOffset = request.Offset;
        while (bytes.Length - length >= RecordBatchHeader.Size && new RecordBatchHeader(bytes[length..]) is var header
            && StoredBatches.IsPlausible(header, at.Size - at.Position - length, min, at.NextOffset)
            && header.SizeInBytes <= maxBytes - length && header.NextOffset <= request.EndOffset)
        {
            // A batch that skips offsets is right when the next one agrees, or when it is the segment's last.
            int size = header.SizeInBytes;
            ReadOnlySpan<byte> rest = bytes[(length + size)..];
            bool isWrong = header.BaseOffset > min && rest.Length >= RecordBatchHeader.Size
                && new RecordBatchHeader(rest).BaseOffset < header.NextOffset;
            if (isWrong || !RecordBatches.Validate(bytes.Slice(length, size)).IsOk)
                break;

            length += size;
            min = nextOffset = header.NextOffset;
        }

        return length;
    }

    private static void ReadExactly(Segment segment, int position, Span<byte> buffer)
    {
        int read = segment.File.Read(position, buffer);
        if (read != buffer.Length)
            throw new LogException($"{segment.File.Path} ends at byte {position + read}, and {position + buffer.Length} were written.");
    }

    /// <param name="EndOffset">No batch that ends behind it is read.</param>
    private readonly record struct Request(long Offset, int MaxBytes, bool MinOneBatch, long EndOffset);

    private sealed record Cursor(Segment Segment, long Offset, int Position);
}
