using LogCheckpoint = Arus.Protocol.LogCheckpoint;

namespace Arus.Storage;

/// <summary>What was found in a partition's directory.</summary>
internal sealed class LoadedLog
{
    public List<Segment> Segments { get; } = [];

    public LeaderEpochs Epochs { get; set; } = new();

    public ProducerStateManager Producers { get; set; } = new();

    public long LogStartOffset { get; set; }

    public long LogEndOffset { get; set; }

    public LogCheckpoint? Checkpoint { get; set; }
}

/// <summary>
/// Opens a partition's directory. What lies before the recovery point was synced and is taken as it is; what comes after is read
/// batch by batch, and cut at the first that is not whole and valid.
/// </summary>
internal sealed class LogLoader(LogShared shared, TopicPartition partition, string directory, TopicConfig config)
{
    private const int RewriteBytes = 1 << 20;

    private readonly LoadedLog _log = new();
    private long _producersFrom;

    private ILogFileSystem FileSystem => shared.FileSystem;

    public LoadedLog Load()
    {
        if (!FileSystem.DirectoryExists(directory))
            return _log;

        CompactionSwap.Finish(shared, partition, directory);
        RemoveLeftovers();
        long[] bases = [.. Segment.ListOffsets(FileSystem, directory, Segment.LogSuffix).Order()];
        ReadCheckpoint(bases);
        bool cut = false;
        foreach (long baseOffset in bases)
        {
            if (cut || (_log.Segments.Count > 0 && baseOffset < _log.Segments[^1].NextOffset))
            {
                SetAside(baseOffset);
                continue;
            }

            Segment segment = new(directory, baseOffset, shared.Files, SegmentIndex.For(config));
            cut = !Recover(segment);
            _log.Segments.Add(segment);
        }

        Finish();
        return _log;
    }

    private void RemoveLeftovers()
    {
        string[] suffixes = [LogFileSystemExtensions.TemporarySuffix, Segment.DeletedSuffix, CompactionSwap.CleanedSuffix];
        foreach (string name in FileSystem.ListFiles(directory))
        {
            if (Array.Exists(suffixes, suffix => name.EndsWith(suffix, StringComparison.Ordinal)))
                FileSystem.DeleteFile(Path.Combine(directory, name));
        }
    }

    private void ReadCheckpoint(long[] bases)
    {
        LogCheckpoint? checkpoint = LogCheckpointFile.Read(FileSystem, directory, out string? problem);
        ProducerStateManager? producers = checkpoint is null ? null : ProducerSnapshot.Deserialize(checkpoint.Producers);
        if (checkpoint is null || producers is null)
        {
            if (bases.Length > 0)
                Rebuilt(Path.Combine(directory, LogCheckpointFile.Name), problem ?? "its producers cannot be read");

            return;
        }

        _log.Checkpoint = checkpoint;
        _log.LogStartOffset = checkpoint.LogStartOffset;
        _log.LogEndOffset = checkpoint.RecoveryOffset;
        _log.Epochs = new LeaderEpochs([.. checkpoint.Epochs.Select(start => new EpochStart(start.Epoch, start.StartOffset))]);
        _log.Producers = producers;
        _producersFrom = checkpoint.RecoveryOffset;
    }

    /// <summary>False when the segment had to be cut, so that nothing can follow it.</summary>
    private bool Recover(Segment segment)
    {
        long length = segment.File.Length;
        LogCheckpoint? checkpoint = _log.Checkpoint;
        bool synced = checkpoint is not null && segment.BaseOffset < checkpoint.RecoverySegment;
        bool partly = checkpoint is not null && segment.BaseOffset == checkpoint.RecoverySegment && length >= checkpoint.RecoveryPosition;
        segment.Synced = synced;
        if (synced || (partly && checkpoint!.RecoveryPosition > 0))
        {
            long expected = synced ? length : checkpoint!.RecoveryPosition;
            if (IndexFile.TryLoad(FileSystem, segment, config.IndexIntervalBytes, expected, out string? problem))
                return synced || Scan(segment, length);

            Rebuilt(segment.IndexPath, problem!);
            Rescan(segment, expected);
            if (synced)
            {
                FileSystem.ReplaceFile(segment.IndexPath, IndexFile.Serialize(segment), durable: false);
                return true;
            }
        }

        return Scan(segment, length);
    }

    /// <summary>Makes the index of a stretch anew that was synced; damage there is no torn tail, and nothing is cut.</summary>
    private void Rescan(Segment segment, long end)
    {
        AddBatches(segment, end);
        if (segment.Size != end)
        {
            throw new LogException(
                $"{segment.File.Path} is damaged at byte {segment.Size} (offset {segment.NextOffset}), in a part that was on stable "
                + "storage. Restore the file from a copy, or delete the partition's directory to lose its records.");
        }
    }

    /// <summary>Reads the batches behind what is known of the segment, up to the first that is not whole and valid.</summary>
    private void AddBatches(Segment segment, long end)
    {
        long nowMs = shared.NowMs;
        using var scanner = new SegmentScanner(segment.File, segment.Size, end);
        while (scanner.TryNext(out RecordBatchHeader header, out ReadOnlyMemory<byte> batch)
            && header.BaseOffset >= segment.NextOffset && RecordBatches.Validate(batch.Span).IsOk
            && segment.Size + (long)batch.Length <= int.MaxValue)
        {
            segment.Add(header, nowMs);
            _log.Epochs.Add(header.PartitionLeaderEpoch, header.BaseOffset);
            if (header.BaseOffset >= _producersFrom)
                _log.Producers.AddStored(header, nowMs);
        }
    }

    private bool Scan(Segment segment, long length)
    {
        int known = segment.Size;
        AddBatches(segment, length);
        if (shared.Doubtful.Contains(directory))
            WriteAgain(segment, known);

        if (segment.Size == length)
            return true;

        long cut = length - segment.Size;
        segment.File.SetLength(segment.Size);
        segment.File.Flush();
        shared.Report(
            LogEventKind.TailTruncated, partition, segment.File.Path,
            $"{segment.File.Path} ended in {cut} bytes that are no whole, valid batch; they were cut, and the log ends at offset "
            + $"{segment.NextOffset}.",
            segment.NextOffset, cut);
        return false;
    }

    /// <summary>Writes what was read, so that the flush that follows has something to write: see <see cref="DoubtfulLogs"/>.</summary>
    private static void WriteAgain(Segment segment, int position)
    {
        byte[] buffer = new byte[Math.Min(RewriteBytes, segment.Size - position)];
        while (position < segment.Size)
        {
            int read = segment.File.Read(position, buffer.AsSpan(0, Math.Min(buffer.Length, segment.Size - position)));
            segment.File.Write(position, [buffer.AsMemory(0, read)]);
            position += read;
        }
    }

    private void Finish()
    {
        if (_log.Segments.Count == 0)
        {
            long start = _log.LogStartOffset;
            _log.LogStartOffset = _log.LogEndOffset = Math.Max(start, _log.LogEndOffset);
            ReportMissing(found: start);
            return;
        }

        Segment active = _log.Segments[^1];
        _log.LogEndOffset = active.NextOffset;
        _log.LogStartOffset = Math.Min(Math.Max(_log.LogStartOffset, _log.Segments[0].BaseOffset), _log.LogEndOffset);
        _log.Epochs.TruncateTo(_log.LogEndOffset);
        foreach (Segment segment in _log.Segments)
        {
            // What was written before a crash of the process may be in the machine's memory only, and is about to be served.
            if (!segment.Synced && segment.Size > 0 && !IsRecoveryPoint(segment))
                segment.File.Flush();

            segment.Synced |= segment != active;
            segment.File.Close();
            if (segment != active)
                segment.Index = null;
        }

        ReportMissing(found: _log.LogEndOffset);
    }

    /// <summary>
    /// Reports a log that ends before its recovery point, because files were lost or removed (or a crash came in the middle of a
    /// truncation). The recovery point moves back, or the next recovery would take what is appended now for synced.
    /// </summary>
    private void ReportMissing(long found)
    {
        if (_log.Checkpoint is not { } checkpoint || found >= checkpoint.RecoveryOffset)
            return;

        shared.Report(
            LogEventKind.TailMissing, partition, directory,
            $"{directory} holds the log of {partition} up to offset {found} only, but offsets up to {checkpoint.RecoveryOffset} were on "
            + $"stable storage when its checkpoint was written: the records from {found} to {checkpoint.RecoveryOffset - 1} are lost, "
            + $"unless they were being truncated when the broker went down. The log goes on from offset {_log.LogEndOffset}; "
            + "restore the directory from a copy if the records are needed.",
            found);
        checkpoint.LogStartOffset = _log.LogStartOffset;
        checkpoint.RecoveryOffset = _log.LogEndOffset;
        checkpoint.RecoverySegment = _log.Segments.Count == 0 ? _log.LogEndOffset : _log.Segments[^1].BaseOffset;
        checkpoint.RecoveryPosition = 0;
        checkpoint.CleanedOffset = Math.Min(checkpoint.CleanedOffset, _log.LogEndOffset);
        checkpoint.Epochs = LogCheckpointer.ToStored(_log.Epochs.Entries);
        checkpoint.Producers = ProducerSnapshot.Serialize(_log.Producers);
        LogCheckpointFile.Write(FileSystem, directory, checkpoint, durable: true);
    }

    private bool IsRecoveryPoint(Segment segment) =>
        _log.Checkpoint is { } checkpoint
        && checkpoint.RecoverySegment == segment.BaseOffset && checkpoint.RecoveryPosition == segment.Size;

    private void SetAside(long baseOffset)
    {
        string path = Segment.PathOf(directory, baseOffset, Segment.LogSuffix);
        FileSystem.RenameFile(path, path + ".orphan");
        shared.Report(LogEventKind.SetAside, partition, path, $"{path} does not follow the log's end any more; it was renamed to .orphan.");
    }

    private void Rebuilt(string file, string reason) =>
        shared.Report(LogEventKind.Rebuilt, partition, file, $"{file} is made anew: {reason}.");
}
