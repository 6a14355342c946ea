using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// What a replicated log keeps of itself besides its records: its id, the fenced epoch, a cut that is under way, the high watermark.
/// The only writer of <see cref="ReplicaFile"/> while the log is open; reads are thread-safe, writes take the checkpointer's lock.
/// </summary>
internal sealed class ReplicaCheckpoint(LogContext log, SegmentList segments, LogCheckpointer checkpointer, LoadedReplica loaded)
{
    /// <summary>Replaced, never changed.</summary>
    private volatile LogReplica _front = loaded.Front;
    private LogReplicaOffsets? _offsets = loaded.Offsets;
    private int _isQueued;

    public Guid LogId => _front.LogId;

    public int FencedEpoch => _front.FencedEpoch;

    /// <summary>Where the log is to end while a cut is under way; -1 otherwise.</summary>
    public long TruncateTo => _front.TruncateTo;

    /// <summary>Where the log is to begin while it is being cleared; -1 otherwise.</summary>
    public long RestartAt => _front.RestartAt;

    /// <summary>Whether the offsets have moved since they were written.</summary>
    public bool IsBehind =>
        Volatile.Read(ref _offsets) is not { } written
        || written.HighWatermark != segments.HighWatermark || written.LogStartOffset != segments.LogStartOffset;

    private LogProviderOptions Options => log.Shared.Options;

    /// <summary>
    /// Before anything is written to the log: makes durable that a crash of the machine may take away what is acknowledged from now on.
    /// </summary>
    public void MarkOpen()
    {
        LogReplica front = _front;
        bool isMarked = !front.IsClean && front.BootId == Options.BootId && front.SyncsAlways == log.Shared.SyncAlways;
        if (!isMarked)
            Write(Change(front, isClean: false), segments.HighWatermark, segments.LogStartOffset);
    }

    /// <summary>All of the log is on stable storage.</summary>
    public void MarkClean()
    {
        if (!_front.IsClean || IsBehind)
            Write(Change(_front, isClean: true), segments.HighWatermark, segments.LogStartOffset);
    }

    /// <summary>Makes durable that leaders of earlier epochs are refused, and which cut comes next.</summary>
    /// <param name="truncateTo">-1 for no cut.</param>
    /// <param name="restartAt">-1 for not clearing the log.</param>
    public void Fence(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        Debug.Assert(epoch >= FencedEpoch, "The fence never falls.");
        if (epoch == FencedEpoch && truncateTo < 0 && restartAt < 0 && !renewLogId)
            return;

        LogReplica front = Change(_front, _front.IsClean); // A cut takes away, and writes nothing that could be lost.
        (front.FencedEpoch, front.TruncateTo, front.RestartAt) = (epoch, truncateTo, restartAt);
        front.LogId = renewLogId ? log.Shared.NewLogId() : front.LogId;
        long end = restartAt >= 0 ? restartAt : truncateTo >= 0 ? truncateTo : long.MaxValue;
        Write(front, Math.Min(segments.HighWatermark, end), Math.Min(segments.LogStartOffset, end));
    }

    /// <summary>The cut is done, durably; what is appended from here on must not be cut by repeating it.</summary>
    /// <param name="isSynced">Whether the cut has put all that is left on stable storage.</param>
    public void FinishCut(bool isSynced)
    {
        LogReplica front = Change(_front, isSynced || _front.IsClean);
        (front.TruncateTo, front.RestartAt) = (-1, -1);
        Write(front, segments.HighWatermark, segments.LogStartOffset);
    }

    /// <summary>Has the offsets written if they have moved; cheaply, and not durably.</summary>
    public void QueueOffsets()
    {
        if (IsBehind && Interlocked.Exchange(ref _isQueued, 1) == 0)
            log.Queue(LogLane.Seal, new LogAction(WriteOffsets, log.Fail));
    }

    private void WriteOffsets()
    {
        Volatile.Write(ref _isQueued, 0);
        using (checkpointer.Exclude())
        {
            if (log.Phase == LogPhase.Closed || log.Failure is not null || !IsBehind)
                return;

            LogReplicaOffsets offsets = Offsets(segments.HighWatermark, segments.LogStartOffset);
            ReplicaFile.Overwrite(log.Shared.FileSystem, log.Directory, offsets);
            Volatile.Write(ref _offsets, offsets);
        }
    }

    private void Write(LogReplica front, long highWatermark, long logStart)
    {
        using (checkpointer.Exclude())
        {
            LogReplicaOffsets offsets = Offsets(highWatermark, logStart);
            ReplicaFile.Write(log.Shared.FileSystem, log.Directory, front, offsets);
            _front = front;
            Volatile.Write(ref _offsets, offsets);
        }
    }

    private static LogReplicaOffsets Offsets(long highWatermark, long logStart) =>
        new() { HighWatermark = highWatermark, LogStartOffset = logStart };

    /// <summary>A copy for the next write, as of this run of the machine.</summary>
    private LogReplica Change(LogReplica front, bool isClean) => new()
    {
        TopicId = log.TopicId,
        LogId = front.LogId,
        FencedEpoch = front.FencedEpoch,
        BootId = Options.BootId,
        IsClean = isClean,
        SyncsAlways = log.Shared.SyncAlways,
        TruncateTo = front.TruncateTo,
        RestartAt = front.RestartAt,
    };
}
