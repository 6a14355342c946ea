using LogCheckpoint = Arus.Protocol.LogCheckpoint;

namespace Arus.Storage;

/// <summary>
/// Opens a partition's directory. What lies before the recovery point was synced and is taken as it is; what comes after is read
/// batch by batch: see <see cref="SegmentRecovery"/>.
/// </summary>
/// <param name="leaderEpoch">Of the leader that opens it; -1 when it is not known.</param>
/// <param name="replica">
/// Of a replicated log, which ends where damage begins: what is intact behind it would make it differ from the other replicas.
/// </param>
internal sealed class LogLoader(
    LogShared shared, TopicPartition partition, string directory, TopicConfig config, int leaderEpoch, ReplicaLoader? replica = null)
{
    private const int RewriteBytes = 1 << 20;

    private readonly SegmentRecovery _recovery = new(shared, partition, directory, config, leaderEpoch, isReplica: replica is not null);
    private readonly LoadedLog _log = new();
    private long _producersFrom;

    /// <summary>
    /// The producers before those of which the checkpoint tells, where a segment without an index is read; null while none needs them.
    /// </summary>
    private (ProducerStateManager Producers, TransactionOffsets Transactions)? _past;

    private ILogFileSystem FileSystem => shared.FileSystem;

    public LoadedLog Load()
    {
        if (!FileSystem.DirectoryExists(directory))
            return _log;

        if (replica is null && ReplicaFile.Exists(FileSystem, directory))
            ReplicaFile.Delete(FileSystem, directory); // What is appended now no other replica has.

        CompactionSwap.Finish(shared, partition, directory);
        RemoveLeftovers();
        long[] bases = [.. Segment.ListOffsets(FileSystem, directory, Segment.LogSuffix).Order()];
        ReadCheckpoint(bases);
        var left = new LinkedList<long>(bases);
        while (left.First is { } node)
        {
            left.Remove(node);
            long baseOffset = node.Value;
            Segment? before = _log.Segments.LastOrDefault();
            if (before is not null && (baseOffset < before.NextOffset || EndsBefore(before, baseOffset)))
            {
                SetAside(baseOffset);
                continue;
            }

            Segment segment = new(directory, baseOffset, shared.Files, SegmentIndex.For(config));
            List<long> split = Recover(segment, endOffset: left.First?.Value ?? long.MaxValue);
            if (before is not null && replica is null)
                _recovery.ReportGap(before, segment.BaseOffset);

            _log.Segments.Add(segment);
            _log.DamagedFrom ??= _recovery.CutFrom;
            for (int i = split.Count - 1; i >= 0; i--)
                left.AddFirst(split[i]);
        }

        Finish();
        return _log;
    }

    /// <summary>Whether a replicated log ends before a segment, because of damage or since a segment is missing before this one.</summary>
    private bool EndsBefore(Segment before, long baseOffset)
    {
        if (replica is null)
            return false;

        if (_log.DamagedFrom is null && before.NextOffset >= (_log.Checkpoint?.CleanedOffset ?? 0)
            && _recovery.ReportGap(before, baseOffset))
        {
            _log.DamagedFrom = before.NextOffset;
        }

        return _log.DamagedFrom is not null;
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
        ProducerStateManager? producers = checkpoint is null
            ? null
            : ProducerSnapshot.Deserialize(checkpoint.Producers, checkpoint.ProducersVersion);
        if (checkpoint is null || producers is null)
        {
            if (bases.Length > 0)
                Rebuilt(Path.Combine(directory, LogCheckpointFile.Name), problem ?? "its producers cannot be read");

            return;
        }

        _log.Checkpoint = checkpoint;
        _log.LogStartOffset = checkpoint.LogStartOffset;
        _log.LogEndOffset = checkpoint.RecoveryOffset;
        _log.Epochs = new LeaderEpochs([.. checkpoint.Epochs.Select(start => new LogEpochStart(start.Epoch, start.StartOffset))]);
        if (bases.Length > 0)
            _log.Epochs.TruncateTo(checkpoint.RecoveryOffset); // Later ones are read from the batches, which a crash may have taken.

        _log.Producers = producers;
        _log.Transactions = TransactionOffsets.Of(
            producers, checkpoint.Ended.Select(ended => new EndedTransaction(ended.FirstOffset, ended.LastOffset)));
        _producersFrom = checkpoint.RecoveryOffset;
    }

    /// <summary>Learns what a segment holds, from its index or by reading it.</summary>
    /// <param name="endOffset">Where the next segment begins; <see cref="long.MaxValue"/> without one.</param>
    /// <returns>The base offsets of the segments that hold what was intact behind damage.</returns>
    private List<long> Recover(Segment segment, long endOffset)
    {
        long length = segment.File.Length;
        LogCheckpoint? checkpoint = _log.Checkpoint;
        bool synced = checkpoint is not null && segment.BaseOffset < checkpoint.RecoverySegment;
        bool partly = checkpoint is not null && segment.BaseOffset == checkpoint.RecoverySegment && length >= checkpoint.RecoveryPosition;
        segment.Synced = synced;
        if (synced || (partly && checkpoint!.RecoveryPosition > 0))
        {
            long expected = synced ? length : checkpoint!.RecoveryPosition;
            if (!IndexFile.TryLoad(FileSystem, segment, config.IndexIntervalBytes, expected, out string? problem))
                Rebuilt(segment.IndexPath, problem!);
            else if (synced)
                return [];
        }

        int known = segment.Size;
        AddBatches(segment, length, endOffset);
        if (!synced && shared.Unsynced.Contains(directory))
            WriteAgain(segment, known);

        List<long> split = segment.Size == length ? [] : _recovery.Cut(segment, length, EpochAt(segment.NextOffset - 1), endOffset);
        if (synced)
            WriteIndex(segment);

        return split;
    }

    /// <summary>Reads the batches behind what is known of the segment, up to the first that is not whole and valid.</summary>
    private void AddBatches(Segment segment, long end, long endOffset)
    {
        long nowMs = shared.NowMs;
        long next = segment.NextOffset;
        _past = null;
        _recovery.Read(segment.File, segment.Size, end, EpochAt(next - 1), ref next, endOffset, batch =>
        {
            var header = new RecordBatchHeader(batch);
            segment.Add(header, nowMs, AddToProducers(segment, batch, nowMs));
            _log.Epochs.Add(header.PartitionLeaderEpoch, header.BaseOffset);
        });
    }

    /// <returns>The transaction that the batch aborts; null for none.</returns>
    private LogAbortedTransaction? AddToProducers(Segment segment, ReadOnlySpan<byte> batch, long nowMs)
    {
        var header = new RecordBatchHeader(batch);
        if (header.BaseOffset >= _producersFrom)
            return _log.Transactions.Apply(_log.Producers.AddStored(batch, nowMs), header.LastOffset);

        if (_past is null)
        {
            if (!header.IsControl)
                return null;

            ProducerStateManager producers = RebuildProducers(segment, header.BaseOffset);
            _past = (producers, TransactionOffsets.Of(producers, []));
        }

        (ProducerStateManager past, TransactionOffsets transactions) = _past.Value;
        return transactions.Apply(past.AddStored(batch, nowMs), header.LastOffset);
    }

    /// <summary>The producers before an offset of a segment; where earlier segments are damaged, as far as they are known.</summary>
    private ProducerStateManager RebuildProducers(Segment segment, long offset)
    {
        try
        {
            return ProducerRebuild.Run(shared, directory, [.. _log.Segments, segment], offset);
        }
        catch (LogException)
        {
            return ProducerRebuild.Run(shared, directory, [segment], offset);
        }
    }

    /// <summary>The epoch in force at an offset, as far as it is known; -1 when it is not.</summary>
    private int EpochAt(long offset)
    {
        LogEpochStart[] epochs = _log.Epochs.Entries;
        int index = Array.FindLastIndex(epochs, entry => entry.StartOffset <= offset);
        return index < 0 ? RecordBatchHeader.NoLeaderEpoch : epochs[index].Epoch;
    }

    /// <summary>Without it the next opening reads the segment again, so that a full disk may refuse it.</summary>
    private void WriteIndex(Segment segment)
    {
        try
        {
            FileSystem.ReplaceFile(segment.IndexPath, IndexFile.Serialize(segment), durable: false);
        }
        catch (IOException error)
        {
            shared.Report(
                LogEventKind.Rebuilt, partition, segment.IndexPath,
                $"{segment.IndexPath} cannot be written, and is made anew when the log is opened again: {error.Message}");
        }
    }

    /// <summary>Writes what was read, so that the flush that follows has something to write: see <see cref="UnsyncedLogs"/>.</summary>
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
            // Offsets are not given twice; but a replica gets again what it lost, at the same offsets.
            long start = _log.LogStartOffset;
            _log.LogStartOffset = _log.LogEndOffset = replica is null ? Math.Max(start, _log.LogEndOffset) : start;
            _log.Epochs.TruncateTo(replica is null ? long.MaxValue : start);
            ReportMissing(found: start);
            return;
        }

        Segment active = _log.Segments[^1];
        _log.LogEndOffset = active.NextOffset;
        _log.LogStartOffset = Math.Min(Math.Max(_log.LogStartOffset, _log.Segments[0].BaseOffset), _log.LogEndOffset);
        _log.Epochs.TruncateTo(_log.LogEndOffset);
        DeleteLaterSnapshots();
        ReadFirstTimestamp(active);
        foreach (Segment segment in _log.Segments)
        {
            // What was written before a crash of the process may be in the machine's memory only, and is about to be served.
            if (!segment.Synced && segment.Size > 0 && !IsRecoveryPoint(segment))
                segment.File.Flush();

            // Of what was not synced there is no index file, and readers need to know what was aborted.
            bool isIndexed = segment.Synced || segment.Header.AbortedCount == 0;
            segment.Synced |= segment != active;
            segment.File.Close();
            if (segment != active && isIndexed)
                segment.Index = null;
        }

        ReportMissing(found: _log.LogEndOffset);
    }

    /// <summary>They tell of producers whose batches are gone, and other batches may get these offsets.</summary>
    private void DeleteLaterSnapshots()
    {
        foreach (long offset in Segment.ListOffsets(FileSystem, directory, Segment.SnapshotSuffix).Where(at => at > _log.LogEndOffset))
            FileSystem.DeleteFile(Segment.PathOf(directory, offset, Segment.SnapshotSuffix));
    }

    /// <summary>The index file of a segment does not have it, and the next roll depends on it.</summary>
    private static void ReadFirstTimestamp(Segment active)
    {
        Span<byte> header = stackalloc byte[RecordBatchHeader.Size];
        if (active.Size > 0 && active.FirstTimestamp is null && active.File.Read(0, header) == header.Length)
            active.FirstTimestamp = new RecordBatchHeader(header).MaxTimestamp;
    }

    /// <summary>
    /// Reports a log that ends before its recovery point, because files were lost or removed (or a crash came in the middle of a
    /// truncation). The recovery point moves back, or the next recovery would take what is appended now for synced; and so does the start
    /// of a log that ends before it, or the next opening would hide what is appended up to there.
    /// </summary>
    /// <exception cref="IOException">The start cannot be moved back.</exception>
    private void ReportMissing(long found)
    {
        if (_log.Checkpoint is not { } checkpoint)
            return;

        bool isMissing = found < checkpoint.RecoveryOffset;
        bool endsBeforeStart = _log.LogStartOffset < checkpoint.LogStartOffset;
        if (!isMissing && !endsBeforeStart)
            return;

        if (isMissing && replica is not { IsCutUnderWay: true })
        {
            _log.IsTailMissing = true;
            shared.Report(
                LogEventKind.TailMissing, partition, directory,
                $"{directory} holds the log of {partition} up to offset {found} only, but offsets up to {checkpoint.RecoveryOffset} were "
                + $"on stable storage when its checkpoint was written: the records from {found} to {checkpoint.RecoveryOffset - 1} are "
                + $"lost, unless they were being truncated when the broker went down. The log goes on from offset {_log.LogEndOffset}; "
                + "restore the directory from a copy if the records are needed.",
                found);
        }

        if (_log.Segments.Count > 0 || replica is not null)
        {
            _log.Producers = ProducerRebuild.Run(shared, directory, _log.Segments, _log.LogEndOffset); // Those of the checkpoint are ahead.
            _log.Transactions = TransactionOffsets.Of(
                _log.Producers, _log.Transactions.Ended.Where(ended => ended.LastOffset < _log.LogEndOffset));
        }

        checkpoint.LogStartOffset = _log.LogStartOffset;
        checkpoint.RecoveryOffset = _log.LogEndOffset;
        checkpoint.RecoverySegment = _log.Segments.Count == 0 ? _log.LogEndOffset : _log.Segments[^1].BaseOffset;
        checkpoint.RecoveryPosition = 0;
        checkpoint.CleanedOffset = Math.Min(checkpoint.CleanedOffset, _log.LogEndOffset);
        checkpoint.Epochs = LogCheckpointer.ToStored(_log.Epochs.Entries);
        StoredProducers producers = ProducerSnapshot.Serialize(_log.Producers);
        (checkpoint.Producers, checkpoint.ProducersVersion) = (producers.Bytes, (sbyte)producers.Version);
        checkpoint.Ended = LogCheckpointer.ToStored(_log.Transactions.Ended);
        try
        {
            LogCheckpointFile.Write(FileSystem, directory, checkpoint, durable: true);
        }
        catch (IOException error) when (!endsBeforeStart)
        {
            shared.Report(
                LogEventKind.Failed, partition, directory,
                $"The checkpoint of {directory} cannot be written; the next opening tells the same loss again: {error.Message}");
        }
    }

    private bool IsRecoveryPoint(Segment segment) =>
        _log.Checkpoint is { } checkpoint
        && checkpoint.RecoverySegment == segment.BaseOffset && checkpoint.RecoveryPosition == segment.Size;

    private void SetAside(long baseOffset)
    {
        string path = Segment.PathOf(directory, baseOffset, Segment.LogSuffix);
        FileSystem.RenameFile(path, path + ".orphan");
        FileSystem.DeleteFile(Segment.PathOf(directory, baseOffset, Segment.IndexSuffix));
        shared.Report(LogEventKind.SetAside, partition, path, $"{path} does not follow the log's end any more; it was renamed to .orphan.");
    }

    private void Rebuilt(string file, string reason) =>
        shared.Report(LogEventKind.Rebuilt, partition, file, $"{file} is made anew: {reason}.");
}
