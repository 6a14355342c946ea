namespace Arus.Storage;

/// <summary>Takes a batch that recovery accepts.</summary>
/// <param name="batch">Of a batch without control records perhaps the header only.</param>
internal delegate void BatchFound(ReadOnlySpan<byte> batch);

/// <summary>
/// Reads a segment batch by batch, and tells a torn tail from damage. Bytes at the log's end that are no whole batch are a torn tail:
/// they were being written when the broker went down, and are cut. Anything else is damage: those bytes are set aside in a file of their
/// own, the intact batches behind them become a segment of their own, and an error says which offsets are lost.
/// </summary>
/// <remarks>
/// A crash of the machine may leave the later batches of the last group commit without the earlier ones. They were not acknowledged, look
/// like batches behind damage, and are kept like those: it is better to keep what nobody waits for than to lose what was acknowledged.
/// </remarks>
/// <param name="leaderEpoch">No batch can have a later epoch; -1 when it is not known.</param>
/// <param name="isReplica">Nothing behind damage is kept but set aside: the partition's leader has it.</param>
internal sealed class SegmentRecovery(
    LogShared shared, TopicPartition partition, string directory, TopicConfig config, int leaderEpoch, bool isReplica = false)
{
    public const string DamagedSuffix = ".damaged";

    private const int CopyBytes = 1 << 20;

    /// <summary>Damaged places of one segment that are set aside; a file with more is left to a person.</summary>
    private const int MaxPlaces = 1000;

    /// <summary>Where the log ends because of damage; null without, and when the log keeps what lies behind it.</summary>
    public long? CutFrom { get; private set; }

    /// <summary>Reads batches that follow each other, up to the first that is not intact or does not follow.</summary>
    /// <param name="epoch">Of what lies before.</param>
    /// <param name="nextOffset">After what lies before; the offset after the last batch read, when it returns.</param>
    /// <param name="endOffset">Where the next segment begins; <see cref="long.MaxValue"/> without one.</param>
    /// <returns>The position after the last batch read.</returns>
    public long Read(SharedFile file, long position, long end, int epoch, ref long nextOffset, long endOffset, BatchFound? found)
    {
        using var scanner = new SegmentScanner(file, position, end);
        byte[]? suspect = null;
        while (scanner.TryNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch)
            && RecordBatches.Validate(batch.Span).IsOk && position + batch.Length <= int.MaxValue)
        {
            if (suspect is not null)
            {
                // Of a batch that skips offsets or begins an epoch the next one tells whether it is right: no CRC covers these fields.
                var before = new RecordBatchHeader(suspect);
                if (header.BaseOffset < before.NextOffset || header.PartitionLeaderEpoch < before.PartitionLeaderEpoch)
                    return position;

                Take(suspect, ref nextOffset);
                suspect = null;
            }

            if (header.BaseOffset < nextOffset || header.PartitionLeaderEpoch < epoch || header.NextOffset > endOffset)
                return position;

            if (header.BaseOffset > nextOffset || header.PartitionLeaderEpoch > epoch)
                suspect = batch[..(header.IsControl ? batch.Length : RecordBatchHeader.Size)].ToArray();
            else
                Take(batch.Span, ref nextOffset);
        }

        if (suspect is not null && IsPlausibleEnd(new RecordBatchHeader(suspect), nextOffset, endOffset))
            Take(suspect, ref nextOffset);

        return position;

        void Take(ReadOnlySpan<byte> batch, ref long next)
        {
            var header = new RecordBatchHeader(batch);
            position += header.SizeInBytes;
            next = header.NextOffset;
            epoch = header.PartitionLeaderEpoch;
            found?.Invoke(batch);
        }
    }

    /// <summary>Cuts a segment behind its last batch, and makes segments of the intact batches further back.</summary>
    /// <param name="length">Of the file.</param>
    /// <param name="epoch">Of the segment's last batch.</param>
    /// <param name="endOffset">As of <see cref="Read"/>.</param>
    /// <returns>The base offsets of the new segments, in order.</returns>
    public List<long> Cut(Segment segment, long length, int epoch, long endOffset)
    {
        List<long> split = [];
        if (isReplica)
        {
            CutAll(segment, length, endOffset);
            return split;
        }

        (long position, long offset) = (segment.Size, segment.NextOffset);
        var search = new BatchSearch(segment.File, length);
        long searchFrom = position;
        while (search.FindNext(searchFrom, offset, endOffset) is var found and >= 0)
        {
            long baseOffset = StoredBatches.BaseOffsetAt(segment.File, found);
            long next = baseOffset;
            long end = Read(segment.File, found, length, epoch, ref next, endOffset, null);
            searchFrom = found + 1;
            if (end == found)
                continue;

            if (split.Count == MaxPlaces)
                throw new LogException($"{segment.File.Path} is damaged in more than {MaxPlaces} places; restore it from a copy.");

            SetAside(segment, position, found, offset, baseOffset);
            Copy(segment.File, found, end, Segment.PathOf(directory, baseOffset, Segment.LogSuffix));
            split.Add(baseOffset);
            (position, offset, searchFrom) = (end, next, end);
            if (position == length)
                break;
        }

        if (position < length && (endOffset < long.MaxValue || IsWholeBatch(segment.File, position, length)))
            SetAside(segment, position, length, offset, endOffset < long.MaxValue ? endOffset : offset);
        else if (position < length)
            ReportTornTail(segment, position, length, offset);

        segment.File.SetLength(segment.Size);
        segment.File.Flush();
        return split;
    }

    /// <summary>Cuts a segment behind its last batch, and sets all aside that is no torn tail.</summary>
    private void CutAll(Segment segment, long length, long endOffset)
    {
        (long position, long offset) = (segment.Size, segment.NextOffset);
        bool isDamaged = endOffset < long.MaxValue || IsWholeBatch(segment.File, position, length)
            || new BatchSearch(segment.File, length).FindNext(position, offset, endOffset) >= 0;
        if (isDamaged)
        {
            CutFrom = offset;
            SetAside(segment, position, length, offset, offset);
        }
        else
        {
            ReportTornTail(segment, position, length, offset);
        }

        segment.File.SetLength(position);
        segment.File.Flush();
    }

    /// <summary>Tells of a segment that is missing before another one, unless it is known why.</summary>
    /// <returns>Whether one is missing.</returns>
    public bool ReportGap(Segment before, long baseOffset)
    {
        long from = before.NextOffset;
        bool isKnown = config.Compact || from >= baseOffset
            || (!isReplica && shared.FileSystem.GetInfo(Segment.PathOf(directory, from, DamagedSuffix)) is not null);
        if (isKnown)
            return false;

        string missing = Segment.PathOf(directory, from, Segment.LogSuffix);
        string consequence = isReplica ? "The log ends there; what lies behind is set aside" : "What lies before and behind is served";
        shared.Report(
            LogEventKind.RecordsMissing, partition, missing,
            $"{directory} has no records from offset {from} to {baseOffset - 1}: {missing} is missing, or was cut off by a crash "
            + $"of the machine. {consequence}; restore the file from a copy if the records are needed.",
            from);
        return true;
    }

    /// <summary>Whether a batch with no intact one behind it may be right though it skips offsets or begins an epoch.</summary>
    private bool IsPlausibleEnd(RecordBatchHeader last, long nextOffset, long endOffset) =>
        (last.BaseOffset == nextOffset || config.Compact || endOffset < long.MaxValue)
        && (leaderEpoch < 0 || last.PartitionLeaderEpoch <= leaderEpoch);

    /// <summary>Whether all bytes are there that a batch says it has, so that no interrupted write explains the damage.</summary>
    private static bool IsWholeBatch(SharedFile file, long position, long length)
    {
        byte[] header = new byte[RecordBatchHeader.Size];
        return file.Read(position, header) == header.Length
            && new RecordBatchHeader(header) is { Length: >= RecordBatchHeader.Size - RecordBatchHeader.LogOverhead } damaged
            && damaged.Length <= length - position - RecordBatchHeader.LogOverhead;
    }

    /// <param name="offset">The first offset that is lost.</param>
    /// <param name="nextOffset">The first offset behind; the same when that is not known.</param>
    private void SetAside(Segment segment, long from, long to, long offset, long nextOffset)
    {
        string aside = Segment.PathOf(directory, offset, DamagedSuffix);
        Copy(segment.File, from, to, aside);
        string lost = nextOffset > offset
            ? $"the records from offset {offset} to {nextOffset - 1} are lost, and what is intact behind them is served"
            : $"the records from offset {offset} on are lost, unless they were being written when the machine went down";
        shared.Report(
            LogEventKind.Damaged, partition, segment.File.Path,
            $"{segment.File.Path} is damaged: bytes {from} to {to - 1} are no valid batch; {lost}. The bytes were set aside in {aside}; "
            + "delete it when it is not needed, or restore the segment from a copy.",
            offset, to - from);
    }

    private void ReportTornTail(Segment segment, long position, long length, long offset) =>
        shared.Report(
            LogEventKind.TailTruncated, partition, segment.File.Path,
            $"{segment.File.Path} ended in {length - position} bytes that are no whole, valid batch; they were cut, and the log ends at "
            + $"offset {offset}.",
            offset, length - position);

    /// <summary>Copies a stretch of a segment into a file of its own, durably.</summary>
    private void Copy(SharedFile source, long from, long to, string path)
    {
        string temporary = path + LogFileSystemExtensions.TemporarySuffix;
        shared.FileSystem.DeleteFile(temporary);
        byte[] buffer = new byte[Math.Min(CopyBytes, to - from)];
        using (ILogFile target = shared.FileSystem.Open(temporary, create: true))
        {
            for (long at = from; at < to;)
            {
                int read = source.Read(at, buffer.AsSpan(0, (int)Math.Min(buffer.Length, to - at)));
                if (read == 0)
                    throw new IOException($"{source.Path} shrank while it was read.");

                target.Write(at - from, [buffer.AsMemory(0, read)]);
                at += read;
            }

            target.Flush();
        }

        shared.FileSystem.RenameFile(temporary, path);
        shared.FileSystem.SyncDirectory(directory);
    }
}
