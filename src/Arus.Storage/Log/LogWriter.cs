using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <summary>
/// Writes what the appender published: one gathered write and one fsync for everything that is queued (group commit), then the
/// answers. <see cref="Publish"/> is thread-safe; everything else is called on the log's I/O thread.
/// </summary>
internal sealed class LogWriter(LogContext log, SegmentList segments, LogCheckpointer checkpointer, ReplicaCheckpoint? replica)
{
    /// <summary>Buffers of one gathered write; the kernel takes no more at once (IOV_MAX).</summary>
    private const int MaxGather = 1024;

    /// <summary>49 days, the longest that timers take.</summary>
    private const long LongestTimerMs = uint.MaxValue - 1;

    [ThreadStatic]
    private static List<ReadOnlyMemory<byte>>? s_gather;

    /// <summary>Guards the group that is on its way to the disk.</summary>
    private readonly LogLock _lock = new(LockRank.Leaf);
    private Group? _queued;
    private Group? _spare;
    private long _pendingBytes;
    private ITimer? _flushTimer;
    private bool _flushDue;

    /// <summary>Records that were written since the last sync of the active segment.</summary>
    private long _unflushed;
    private bool _isEntryDurable;

    /// <summary>Bytes that were published and are not written yet.</summary>
    public long PendingBytes => Interlocked.Read(ref _pendingBytes);

    /// <summary>Queues all that an append brought, at once. The lists stay the caller's.</summary>
    public void Publish(PendingAppend append, List<PendingBatch> batches)
    {
        using (_lock.Enter())
        {
            // A duplicate waits too: what it repeats may not be durable yet.
            _queued ??= new Group([], []);
            _queued.Appends.Add(append);
            _queued.Batches.AddRange(batches);
            foreach (ref readonly PendingBatch batch in CollectionsMarshal.AsSpan(batches))
                _pendingBytes += batch.Length;
        }
    }

    /// <summary>Writes and syncs what is queued, and answers it.</summary>
    public void WritePending()
    {
        Group? group;
        using (_lock.Enter())
            (group, _queued, _spare) = (_queued, _spare, null);

        long written = 0;
        if (log.Failure is null)
        {
            try
            {
                written = group is { Batches.Count: > 0 } ? Write(group.Batches) : 0;
                FlushIfDue();
            }
            catch (Exception error)
            {
                // Nothing is known about the disk any more, whatever the error was; opening the log again recovers.
                log.Fail(error);
            }
        }

        Respond(group?.Appends);
        group?.Appends.Clear();
        group?.Batches.Clear();
        using (_lock.Enter())
        {
            _pendingBytes -= written;
            const int KeptCapacity = 256; // A busy log keeps its lists; an idle one holds no large one.
            _spare = group is { Batches.Capacity: <= KeptCapacity } || _queued is { Batches.Count: > 0 } ? group : null;
        }

        log.AdvanceWaiters(segments.HighWatermark, segments.LastStableOffset);
    }

    /// <summary>Begins a new segment at an offset, which becomes the active one.</summary>
    public Segment StartSegment(long baseOffset)
    {
        var segment = new Segment(log.Directory, baseOffset, log.Shared.Files, SegmentIndex.For(log.Config));
        segment.File.Create(log.Config.Preallocate ? log.Config.SegmentBytes : 0);
        if (log.Shared.Syncs)
            log.Shared.FileSystem.SyncDirectory(log.Directory);

        _isEntryDurable = false;
        segments.Add(segment);
        return segment;
    }

    public void Close() => _flushTimer?.Dispose();

    private void Respond(List<PendingAppend>? appends)
    {
        foreach (PendingAppend append in CollectionsMarshal.AsSpan(appends))
        {
            if (log.Failure is { } failure)
                append.Fail(ErrorCode.KafkaStorageError, log.DescribeFailure(failure));
            else
                append.Complete();
        }
    }

    private long Write(List<PendingBatch> pending)
    {
        ReadOnlySpan<PendingBatch> batches = CollectionsMarshal.AsSpan(pending);
        List<ReadOnlyMemory<byte>> gather = s_gather ??= [];
        gather.Clear();
        long written = 0;
        int from = 0;
        int runStart = 0;
        replica?.MarkOpen();
        if (segments.All.Length == 0)
            CreateDirectory(Math.Min(batches[0].BaseOffset, segments.LogStartOffset)); // Its leader may have holes there.

        for (int i = 0; i < batches.Length; i++)
        {
            ref readonly PendingBatch batch = ref batches[i];
            if (batch.Roll is not null || gather.Count == MaxGather)
            {
                Commit(batches[from..i], gather);
                from = i;
                RollIfNeeded(batch.Roll, batch.BaseOffset);
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

        Commit(batches[from..], gather);
        gather.Clear();
        return written;
    }

    /// <summary>Writes the batches, syncs them where that comes first, and publishes them to readers.</summary>
    private void Commit(ReadOnlySpan<PendingBatch> batches, List<ReadOnlyMemory<byte>> gather)
    {
        if (batches.IsEmpty)
            return;

        Segment active = segments.Active;
        active.File.Write(active.Size, gather);
        gather.Clear();
        if (!active.IsDirty)
            ArmFlushTimer();

        active.IsDirty = true;
        _unflushed += batches[^1].NextOffset - batches[0].BaseOffset;
        if (log.Shared.SyncAlways || _unflushed >= log.Config.FlushMessages)
            Flush(active);

        segments.Publish(batches);
    }

    private void CreateDirectory(long baseOffset)
    {
        log.Shared.FileSystem.CreateDirectory(log.Directory);
        checkpointer.WriteFirst(baseOffset);
        StartSegment(baseOffset);
        if (log.Shared.Syncs)
            log.Shared.FileSystem.SyncDirectory(Path.GetDirectoryName(log.Directory)!);
    }

    /// <summary>Before a batch: rolls the segment or takes a checkpoint, as the appender decided.</summary>
    private void RollIfNeeded(SegmentRoll? roll, long offset)
    {
        if (roll is null)
            return;

        Segment active = segments.Active;
        if (roll.NewSegment)
        {
            StartSegment(offset);
            checkpointer.SealLater(active, null, roll.Producers, new RecoveryPoint(offset, offset, 0));
        }
        else
        {
            var point = new RecoveryPoint(offset, active.BaseOffset, active.Size);
            checkpointer.SealLater(active, IndexFile.Serialize(active), roll.Producers, point);
        }
    }

    private void ArmFlushTimer()
    {
        FlushPolicy policy = log.Shared.Options.Flush;
        long afterMs = Math.Min(policy.Mode == FlushMode.Interval ? policy.IntervalMs : long.MaxValue, log.Config.FlushMs);
        if (policy.Mode == FlushMode.Always || afterMs >= LongestTimerMs)
            return;

        _flushTimer ??= log.Shared.Options.Time.CreateTimer(
            static state => ((LogWriter)state!).OnFlushTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _flushTimer.Change(TimeSpan.FromMilliseconds(afterMs), Timeout.InfiniteTimeSpan);
    }

    private void OnFlushTimer()
    {
        Volatile.Write(ref _flushDue, true);
        log.ScheduleIo();
    }

    private void FlushIfDue()
    {
        if (Interlocked.Exchange(ref _flushDue, false) && segments.All is [.., { IsDirty: true } active])
            Flush(active);
    }

    /// <summary>Syncs the active segment; its entry in the directory too, if that was not synced when it was made.</summary>
    private void Flush(Segment active)
    {
        if (!log.Shared.Syncs && !_isEntryDurable)
        {
            log.Shared.FileSystem.SyncDirectory(log.Directory);
            log.Shared.FileSystem.SyncDirectory(Path.GetDirectoryName(log.Directory)!);
            _isEntryDurable = true;
        }

        active.Flush();
        _unflushed = 0;
    }

    /// <summary>One group commit.</summary>
    private sealed record Group(List<PendingAppend> Appends, List<PendingBatch> Batches);
}
