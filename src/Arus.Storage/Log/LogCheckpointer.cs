using System.Diagnostics;
using LogCheckpoint = Arus.Protocol.LogCheckpoint;
using SnapshotFormat = Arus.Protocol.ProducerSnapshot;

namespace Arus.Storage;

/// <summary>Everything before it is on stable storage.</summary>
/// <param name="Segment">The base offset of the segment that it lies in.</param>
/// <param name="Position">Where in that segment.</param>
internal readonly record struct RecoveryPoint(long Offset, long Segment, int Position);

/// <summary>
/// Writes the checkpoint, the index files and the producer snapshots, which make opening the log cheap. The seal thread and the I/O
/// thread take turns, under the checkpointer's lock.
/// </summary>
internal sealed class LogCheckpointer(LogContext log, SegmentList segments, ProducerStateManager producers, LogCheckpoint? loaded)
{
    private const int SnapshotsKept = 3;

    private readonly LogLock _lock = new(LockRank.Checkpointer);
    private RecoveryPoint _recovery = loaded is null
        ? new RecoveryPoint(-1, -1, 0)
        : new RecoveryPoint(loaded.RecoveryOffset, loaded.RecoverySegment, loaded.RecoveryPosition);

    /// <summary>Up to where the checkpoint tells of producers.</summary>
    public long RecoveryOffset => _recovery.Offset;

    /// <summary>The first segment that recovery looks at.</summary>
    public long RecoverySegment => _recovery.Segment;

    /// <summary>Whether something at the log's end is not covered by the checkpoint.</summary>
    public bool IsBehind => segments.All is [.., var active] && (active.IsDirty || _recovery.Offset != segments.LogEndOffset);

    /// <summary>Compaction has been through everything before it. Changed on the I/O thread.</summary>
    public long CleanedOffset
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    } = loaded?.CleanedOffset ?? 0;

    private ILogFileSystem FileSystem => log.Shared.FileSystem;

    /// <summary>Keeps the seal thread out while files are replaced, until the scope is disposed.</summary>
    public LogLock.Scope Exclude() => _lock.Enter();

    /// <summary>Makes the log's end the recovery point. On the I/O thread, with nothing queued.</summary>
    public void CheckpointEnd()
    {
        using (_lock.Enter())
        {
            foreach (Segment segment in segments.All)
                SyncSealed(segment);

            long end = segments.LogEndOffset;
            if (segments.All is not [.., var active])
            {
                Store(new RecoveryPoint(end, end, 0), ProducerSnapshot.Serialize(producers));
                return;
            }

            active.Flush();
            WriteIndex(active, IndexFile.Serialize(active));
            Store(new RecoveryPoint(end, active.BaseOffset, active.Size), ProducerSnapshot.Serialize(producers));
        }
    }

    /// <summary>The checkpoint of a log that has no segment yet: a crash may leave it out.</summary>
    public void WriteFirst(long baseOffset) =>
        Write(
            new RecoveryPoint(baseOffset, baseOffset, 0), Math.Max(segments.LogStartOffset, baseOffset), [],
            ProducerSnapshot.Serialize(new ProducerStateManager()), durable: false);

    /// <summary>Syncs a full segment and writes its index, unless that was done.</summary>
    public void SyncSealed(Segment segment)
    {
        using (_lock.Enter())
        {
            if (segments.NeedsSync(segment))
            {
                if (log.Config.Preallocate)
                    segment.File.SetLength(segment.Size); // What was reserved and is not needed.

                FlushUnlessSynced(segment);
                WriteIndex(segment, IndexFile.Serialize(segment));
                segments.MarkSynced(segment);
            }
        }
    }

    /// <summary>Leaves to the seal thread what follows a roll, or a checkpoint within a segment.</summary>
    /// <param name="activeIndex">The index of a segment that is still active; null for one that is full.</param>
    /// <param name="producersThen">As they were at the point.</param>
    public void SealLater(Segment segment, byte[]? activeIndex, SnapshotFormat producersThen, RecoveryPoint point)
    {
        int generation = segments.Generation;
        log.Queue(LogLane.Seal, new LogAction(
            () => Seal(segment, activeIndex, producersThen, point, generation),
            error =>
            {
                // A retired file was deleted or compacted before it could be sealed, and needs it no more.
                if (error is not FileRetiredException)
                    log.Fail(error);
            }));
    }

    public void WriteSnapshot(long offset, ProducerStateManager producersThen) =>
        WriteSnapshot(offset, ProducerSnapshot.Serialize(producersThen));

    public IEnumerable<long> ListSnapshots() => Segment.ListOffsets(FileSystem, log.Directory, Segment.SnapshotSuffix);

    public void DeleteSnapshots(IEnumerable<long> offsets)
    {
        foreach (long offset in offsets.ToArray())
            FileSystem.DeleteFile(Segment.PathOf(log.Directory, offset, Segment.SnapshotSuffix));
    }

    private void Seal(Segment segment, byte[]? activeIndex, SnapshotFormat producersThen, RecoveryPoint point, int generation)
    {
        using (_lock.Enter())
        {
            bool isVoid = log.Phase == LogPhase.Closed || log.Failure is not null || generation != segments.Generation;
            if (isVoid || !segments.All.Contains(segment))
                return;

            StoredProducers snapshot = ProducerSnapshot.Serialize(producersThen);
            if (activeIndex is null)
            {
                SyncSealed(segment);
                WriteSnapshot(point.Offset, snapshot);
                DeleteSnapshots(ListSnapshots().Where(offset => offset <= segments.HighWatermark).OrderDescending().Skip(SnapshotsKept));
            }
            else if (point.Offset > _recovery.Offset)
            {
                FlushUnlessSynced(segment);
                WriteIndex(segment, activeIndex);
            }

            if (point.Offset > _recovery.Offset)
                Store(point, snapshot);
        }
    }

    private void WriteSnapshot(long offset, StoredProducers snapshot) =>
        ProducerSnapshot.Write(FileSystem, Segment.PathOf(log.Directory, offset, Segment.SnapshotSuffix), snapshot);

    private void FlushUnlessSynced(Segment segment)
    {
        if (!log.Shared.SyncAlways)
            segment.File.Flush();
    }

    private void WriteIndex(Segment segment, byte[] index) => FileSystem.ReplaceFile(segment.IndexPath, index, durable: false);

    private void Store(RecoveryPoint point, StoredProducers snapshot)
    {
        Debug.Assert(point.Offset <= segments.LogEndOffset && point.Segment <= point.Offset, "The recovery point lies in the log.");
        FileSystem.CreateDirectory(log.Directory);
        Write(point, segments.LogStartOffset, segments.Epochs, snapshot, durable: true);
        if (!log.Shared.Syncs)
        {
            FileSystem.SyncDirectory(Path.GetDirectoryName(log.Directory)!); // Not done when the directory was made.
        }

        _recovery = point;
    }

    private void Write(RecoveryPoint point, long logStart, LogEpochStart[] epochs, StoredProducers snapshot, bool durable)
    {
        var checkpoint = new LogCheckpoint
        {
            TopicId = log.TopicId,
            LogStartOffset = logStart,
            RecoveryOffset = point.Offset,
            RecoverySegment = point.Segment,
            RecoveryPosition = point.Position,
            CleanedOffset = CleanedOffset,
            Epochs = ToStored(epochs),
            Ended = ToStored(Array.FindAll(segments.EndedTransactions, ended => ended.LastOffset < point.Offset)),
            Producers = snapshot.Bytes,
            ProducersVersion = (sbyte)snapshot.Version,
        };
        LogCheckpointFile.Write(FileSystem, log.Directory, checkpoint, durable);
    }

    public static LogCheckpoint.EpochStart[] ToStored(LogEpochStart[] epochs) =>
        Array.ConvertAll(epochs, start => new LogCheckpoint.EpochStart { Epoch = start.Epoch, StartOffset = start.StartOffset });

    public static LogCheckpoint.EndedTransaction[] ToStored(EndedTransaction[] ended) => Array.ConvertAll(
        ended, one => new LogCheckpoint.EndedTransaction { FirstOffset = one.FirstOffset, LastOffset = one.LastOffset });
}
