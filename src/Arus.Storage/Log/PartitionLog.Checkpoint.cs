namespace Arus.Storage;

/// <summary>Everything before it is on stable storage.</summary>
/// <param name="Segment">The base offset of the segment that it lies in.</param>
/// <param name="Position">Where in that segment.</param>
internal readonly record struct RecoveryPoint(long Offset, long Segment, int Position);

/// <content>Checkpoints, index files and snapshots: what makes opening the log cheap.</content>
internal sealed partial class PartitionLog
{
    private const int SnapshotsKept = 3;

    /// <summary>Held while the small files are written, so that the seal thread and the I/O thread take turns.</summary>
    private readonly Lock _metaLock = new();
    private RecoveryPoint _recovery;
    private Task? _closed;

    /// <summary>Whether <see cref="_closed"/> deletes what the log holds.</summary>
    private bool _deletes;

    /// <summary>Grows when the log is truncated: what the seal thread was told before counts no more.</summary>
    private int _generation;

    private int Generation => Volatile.Read(ref _generation);

    /// <summary>Makes the present end the recovery point. On the I/O thread, with nothing queued.</summary>
    private void WriteCurrentCheckpoint()
    {
        lock (_metaLock)
        {
            foreach (Segment segment in _segments)
            {
                SyncFull(segment);
            }

            if (_segments.Count == 0)
            {
                Store(new RecoveryPoint(_nextOffset, _nextOffset, 0), ProducerSnapshot.Serialize(_producers));
                return;
            }

            Segment active = _segments[^1];
            active.File.Flush();
            _dirty = false;
            DurableFile.Write(_shared.FileSystem, active.IndexPath, IndexFile.Serialize(active), durable: false);
            Store(new RecoveryPoint(_nextOffset, active.BaseOffset, active.Size), ProducerSnapshot.Serialize(_producers));
        }
    }

    /// <summary>Syncs a full segment and writes its index, unless that was done.</summary>
    private void SyncFull(Segment segment)
    {
        lock (_metaLock)
        {
            lock (_stateLock)
            {
                if (segment.Synced || segment == _segments[^1])
                {
                    return;
                }
            }

            if (!_shared.SyncAlways)
            {
                segment.File.Flush();
            }

            DurableFile.Write(_shared.FileSystem, segment.IndexPath, IndexFile.Serialize(segment), durable: false);
            lock (_stateLock)
            {
                segment.Synced = true;
                segment.File.Index = segment.Index;
                segment.Index = null;
            }
        }
    }

    private void Store(RecoveryPoint point, byte[] producers)
    {
        _shared.FileSystem.CreateDirectory(_directory);
        EpochStart[] epochs;
        lock (_stateLock)
        {
            epochs = _epochs.Entries.ToArray();
        }

        WriteCheckpoint(
            new LogCheckpoint(_topicId, LogStartOffset, point.Offset, point.Segment, point.Position, Volatile.Read(ref _cleanedOffset), epochs, producers),
            durable: true);
        if (!_shared.Syncs)
        {
            _shared.FileSystem.SyncDirectory(Path.GetDirectoryName(_directory)!); // Nobody did when the directory was made.
        }

        _recovery = point;
    }

    private void WriteCheckpoint(LogCheckpoint checkpoint, bool durable) =>
        DurableFile.Write(_shared.FileSystem, Path.Combine(_directory, LogCheckpoint.FileName), checkpoint.Serialize(), durable);

    /// <summary>On the seal thread: a segment is full, or enough was written since the last checkpoint.</summary>
    private void Seal(Segment segment, byte[] activeIndex, byte[] producers, RecoveryPoint point, int generation)
    {
        lock (_metaLock)
        {
            if (_phase == LogPhase.Closed || _failure is not null || generation != _generation || !Contains(segment))
            {
                return;
            }

            if (activeIndex.Length == 0)
            {
                SyncFull(segment);
                byte[] snapshot = DurableFile.Frame(ProducerSnapshot.Magic, ProducerSnapshot.Version, producers);
                DurableFile.Write(_shared.FileSystem, Segment.PathOf(_directory, point.Offset, Segment.SnapshotSuffix), snapshot, durable: false);
                RemoveOldSnapshots();
            }
            else
            {
                if (!_shared.SyncAlways)
                {
                    segment.File.Flush();
                }

                DurableFile.Write(_shared.FileSystem, segment.IndexPath, activeIndex, durable: false);
            }

            if (point.Offset > _recovery.Offset)
            {
                Store(point, producers);
            }
        }
    }

    private bool Contains(Segment segment)
    {
        lock (_stateLock)
        {
            return _segments.Contains(segment);
        }
    }

    private void RemoveOldSnapshots()
    {
        foreach (long offset in ListSnapshots().OrderDescending().Skip(SnapshotsKept))
        {
            _shared.FileSystem.DeleteFile(Segment.PathOf(_directory, offset, Segment.SnapshotSuffix));
        }
    }

    private IEnumerable<long> ListSnapshots()
    {
        foreach (string name in _shared.FileSystem.ListFiles(_directory))
        {
            if (Segment.TryParse(name, Segment.SnapshotSuffix, out long offset))
            {
                yield return offset;
            }
        }
    }

    private sealed class SealWork(PartitionLog log, Segment segment, byte[] activeIndex, byte[] producers, RecoveryPoint point) : ILogWork
    {
        private readonly int _generation = log.Generation;

        public void Execute()
        {
            try
            {
                log.Seal(segment, activeIndex, producers, point, _generation);
            }
            catch (FileRetiredException)
            {
                // Retention or compaction was faster: there is nothing left to seal.
            }
            catch (Exception error)
            {
                log.Fail(error);
            }
        }
    }
}
