namespace Arus.Storage;

/// <content>The I/O thread's side: one gathered write and one fsync for everything that was queued, then the answers.</content>
internal sealed partial class PartitionLog
{
    /// <summary>Buffers of one gathered write; the kernel takes no more at once (IOV_MAX).</summary>
    private const int MaxGather = 1024;

    [ThreadStatic]
    private static List<ReadOnlyMemory<byte>>? t_gather;

    private readonly Lock _operationsLock = new();
    private Queue<Operation>? _operations;
    private List<PendingAppend>? _spareAppends;
    private List<PendingBatch>? _spareBatches;
    private ITimer? _flushTimer;
    private int _scheduled;
    private int _flushDue;
    private bool _dirty;

    void ILogWork.Execute()
    {
        Interlocked.Exchange(ref _scheduled, 0);
        WritePending();
        RunOperations();
        AdmitWaiting();
        _cache.Trim();
    }

    /// <summary>Writes what was queued, and answers it.</summary>
    private void WritePending()
    {
        List<PendingAppend>? appends;
        List<PendingBatch>? batches;
        lock (_queueLock)
        {
            (appends, batches) = (_appends, _batches);
            (_appends, _batches) = (_spareAppends, _spareBatches);
            (_spareAppends, _spareBatches) = (null, null);
        }

        long written = 0;
        if (_failure is null)
        {
            try
            {
                written = batches is { Count: > 0 } ? WriteBatches(batches) : 0;
                FlushWhenDue();
            }
            catch (Exception error)
            {
                // Whatever it was, nobody can tell what is on the disk now; opening the log again finds out.
                Fail(error);
            }
        }

        Respond(appends);
        appends?.Clear();
        batches?.Clear();
        lock (_queueLock)
        {
            _pendingBytes -= written;
            (_spareAppends, _spareBatches) = (appends, batches);
            ReleaseSpare();
        }

        _waiters.Advance(HighWatermark);
    }

    private void Respond(List<PendingAppend>? appends)
    {
        if (appends is null)
        {
            return;
        }

        foreach (PendingAppend append in appends)
        {
            if (_failure is { } failure)
            {
                append.Fail(ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {failure.Message}");
            }
            else
            {
                append.Complete();
            }
        }
    }

    /// <summary>Keeps the lists of a busy log, and no large ones of an idle one.</summary>
    private void ReleaseSpare()
    {
        const int Keep = 256;
        if (_spareBatches is { Capacity: > Keep } && _batches is null or { Count: 0 })
        {
            _spareBatches = null;
        }
    }

    private long WriteBatches(List<PendingBatch> batches)
    {
        List<ReadOnlyMemory<byte>> gather = t_gather ??= [];
        gather.Clear();
        long written = 0;
        int from = 0;
        int runStart = 0;
        if (_segments.Count == 0)
        {
            CreateFirstSegment(batches[0].BaseOffset);
        }

        for (int i = 0; i < batches.Count; i++)
        {
            PendingBatch batch = batches[i];
            if (batch.Turnover is not null || gather.Count == MaxGather)
            {
                Commit(batches, from, i, gather);
                from = i;
                Turn(batch.Turnover, batch.BaseOffset);
            }

            // A log's batches lie one after the other in a chunk, so that a run of them is one buffer.
            if (i > from && batches[i - 1].Chunk == batch.Chunk)
            {
                gather[^1] = batch.Chunk.Bytes.AsMemory(runStart, batch.Start + batch.Length - runStart);
            }
            else
            {
                runStart = batch.Start;
                gather.Add(batch.Bytes);
            }

            written += batch.Length;
        }

        Commit(batches, from, batches.Count, gather);
        gather.Clear();
        return written;
    }

    /// <summary>Writes, syncs where that comes first, and publishes.</summary>
    private void Commit(List<PendingBatch> batches, int from, int to, List<ReadOnlyMemory<byte>> gather)
    {
        if (from == to)
        {
            return;
        }

        Segment active = _segments[^1];
        active.File.Write(active.Size, gather);
        gather.Clear();
        if (_shared.SyncAlways)
        {
            active.File.Flush();
        }
        else
        {
            _dirty = true;
            ArmFlushTimer();
        }

        lock (_stateLock)
        {
            long size = _sizeBytes;
            for (int i = from; i < to; i++)
            {
                PendingBatch batch = batches[i];
                active.Add(batch.BaseOffset, batch.NextOffset, batch.Length, batch.MaxTimestamp, batch.AppendMs);
                batch.Chunk.Commit(batch.BaseOffset, batch.NextOffset, batch.Length);
                size += batch.Length;
            }

            Volatile.Write(ref _sizeBytes, size);
            Volatile.Write(ref _highWatermark, batches[to - 1].NextOffset);
        }
    }

    private void CreateFirstSegment(long baseOffset)
    {
        _shared.FileSystem.CreateDirectory(_directory);
        WriteCheckpoint(new LogCheckpoint(_topicId, Math.Max(_logStart, baseOffset), baseOffset, baseOffset, 0, 0, [], ProducerSnapshot.Serialize(new())), durable: false);
        AddSegment(baseOffset);
        if (_shared.Syncs)
        {
            _shared.FileSystem.SyncDirectory(Path.GetDirectoryName(_directory)!);
        }
    }

    private void AddSegment(long baseOffset)
    {
        var segment = new Segment(_directory, baseOffset, _shared.Files, new SegmentIndex(Config.IndexIntervalBytes));
        segment.File.Create();
        if (_shared.Syncs)
        {
            _shared.FileSystem.SyncDirectory(_directory);
        }

        lock (_stateLock)
        {
            _segments.Add(segment);
        }
    }

    private void Turn(Turnover? turnover, long offset)
    {
        if (turnover is null)
        {
            return;
        }

        Segment active = _segments[^1];
        if (turnover.NewSegment)
        {
            AddSegment(offset);
            _shared.Scheduler.Queue(LogLane.Seal, _affinity, new SealWork(this, active, [], turnover.Producers, new RecoveryPoint(offset, offset, 0)));
        }
        else
        {
            byte[] index = IndexFile.Serialize(active);
            var point = new RecoveryPoint(offset, active.BaseOffset, active.Size);
            _shared.Scheduler.Queue(LogLane.Seal, _affinity, new SealWork(this, active, index, turnover.Producers, point));
        }
    }

    private void ArmFlushTimer()
    {
        if (_shared.Options.Flush.Mode != FlushMode.Interval || _flushDue != 0)
        {
            return;
        }

        _flushDue = 1;
        _flushTimer ??= _shared.Options.Time.CreateTimer(
            static state => ((PartitionLog)state!).OnFlushTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _flushTimer.Change(TimeSpan.FromMilliseconds(_shared.Options.Flush.IntervalMs), Timeout.InfiniteTimeSpan);
    }

    private void OnFlushTimer()
    {
        Volatile.Write(ref _flushDue, 2);
        ScheduleIo();
    }

    private void FlushWhenDue()
    {
        if (Volatile.Read(ref _flushDue) == 2)
        {
            Volatile.Write(ref _flushDue, 0);
            SyncActive();
        }
    }

    private void SyncActive()
    {
        if (_dirty && _segments.Count > 0)
        {
            _dirty = false;
            _segments[^1].File.Flush();
        }
    }
}
