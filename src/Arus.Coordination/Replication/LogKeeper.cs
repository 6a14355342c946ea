using System.Diagnostics;

namespace Arus.Coordination.Replication;

/// <summary>Opens the logs that this broker keeps, a bounded number at once and those in use first, and closes the others.</summary>
internal sealed class LogKeeper(ReplicationContext context)
{
    private const int MaxReopenPause = 300;

    /// <summary>
    /// How long the log of a partition that is kept elsewhere now stays. By then a later change, by which this broker keeps it again, would
    /// have been heard of.
    /// </summary>
    private const int StrayMs = 30_000;

    /// <summary>Minutes, with the pauses between them; what cannot be deleted then is left to the next start.</summary>
    private const int MaxDeletionFailures = 12;

    private readonly PriorityQueue<Replica, (int Order, long LastUsed)> _queue = new();
    private int _opening;

    /// <summary>This broker should have the partition's log open.</summary>
    public bool Keeps(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.IsDeleted)
            return false;

        return state.IsShared
            ? state.Leader == context.Self && state.LeaderEpoch > replica.RetiredEpoch
                || replica.Leadership is { } leadership && leadership.Epoch == state.LeaderEpoch
            : replica.IsReplica(context.Self);
    }

    public void Reconcile(Replica replica)
    {
        if (!Keeps(replica) || (replica.State.IsShared && replica.Log is not null && replica.OpenedEpoch != replica.State.LeaderEpoch))
            Close(replica);

        if (replica.Phase != LogPhase.Closed)
            return;

        if (!Keeps(replica))
        {
            DeleteStray(replica);
            return;
        }

        replica.StraySinceMs = -1;
        if (context.NowMs < replica.ReopenAtMs)
        {
            context.Timers.Arm(replica, replica.ReopenAtMs);
            return;
        }

        replica.Phase = LogPhase.Queued;
        int order = replica.State.Leader == context.Self || !context.Peers.IsLive(replica.State.Leader) ? 0 : 1;
        _queue.Enqueue(replica, (order, -replica.LastUsedMs));
    }

    /// <summary>Opens what there is room for; called when all partitions of an input have been looked at.</summary>
    public void OpenQueued()
    {
        while (_opening < context.Options.MaxOpenings && _queue.TryDequeue(out Replica? replica, out _))
        {
            if (replica.Phase != LogPhase.Queued)
                continue;

            replica.Phase = LogPhase.Opening;
            replica.OpenedEpoch = replica.State.LeaderEpoch;
            _opening++;
            context.Emit(new ReplicationEffect.OpenLog(replica.State));
        }
    }

    public void Opened(Replica replica, IReplicaLog log)
    {
        if (replica.Phase != LogPhase.Opening)
            return;

        _opening--;
        replica.Phase = LogPhase.Open;
        replica.Log = log;
        replica.HighWatermark = log.HighWatermark;
        replica.LogFailures = 0;
        Debug.Assert(log.HighWatermark <= log.DurableEndOffset, "A high watermark lies above the durable end.");
    }

    public void Failed(Replica replica)
    {
        if (replica.Phase == LogPhase.Opening)
            _opening--;

        replica.Phase = LogPhase.Closed;
        replica.Log = null;
        replica.Operation = LogOperation.None;
        replica.ReopenAtMs = context.RetryAt(3 + replica.LogFailures++, MaxReopenPause);
        if (replica.IsDeletionOrdered && ++replica.DeletionFailures < MaxDeletionFailures)
            replica.IsDeletionOrdered = false;
    }

    /// <summary>Deletes the log of a partition that was reassigned to others, after a while.</summary>
    private void DeleteStray(Replica replica)
    {
        if (replica.StraySinceMs < 0)
            return;

        if (!replica.State.IsDeleted && context.NowMs < replica.StraySinceMs + StrayMs)
        {
            context.Timers.Arm(replica, replica.StraySinceMs + StrayMs);
            return;
        }

        replica.StraySinceMs = -1;
        context.Emit(new ReplicationEffect.CloseLog(replica.Id, Delete: true));
    }

    private void Close(Replica replica)
    {
        if (replica.Phase == LogPhase.Queued)
            replica.Phase = LogPhase.Closed;

        // What is under way in the log ends first.
        if (replica.Phase == LogPhase.Opening || replica.Operation != LogOperation.None)
            return;

        bool delete = replica.State.IsDeleted && !replica.IsDeletionOrdered && Deletes(replica);
        if (replica.Phase != LogPhase.Open && !delete)
            return;

        if (delete && replica.DeletionFailures > 0 && context.NowMs < replica.ReopenAtMs)
        {
            context.Timers.Arm(replica, replica.ReopenAtMs);
            return;
        }

        replica.IsDeletionOrdered |= delete;
        if (!replica.State.IsDeleted && !replica.State.IsShared)
            replica.StraySinceMs = context.NowMs;

        replica.Phase = LogPhase.Closed;
        replica.Log = null;
        replica.SessionEpoch = -1;
        context.Emit(new ReplicationEffect.CloseLog(replica.Id, delete));
    }

    /// <summary>
    /// Whether it is for this broker to delete what it has of a deleted partition. A shared log any broker may delete, and more than one do
    /// no harm: its leader does, and while that is away the replicas, or all others if no replica is there.
    /// </summary>
    private bool Deletes(Replica replica)
    {
        PartitionState state = replica.State;
        if (!state.IsShared)
            return replica.IsReplica(context.Self);

        return state.Leader == context.Self || (!context.Peers.IsLive(state.Leader)
            && (replica.IsReplica(context.Self) || !state.Replicas.Any(context.Peers.IsLive)));
    }
}
