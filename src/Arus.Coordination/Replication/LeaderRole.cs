using System.Diagnostics;

namespace Arus.Coordination.Replication;

/// <summary>Begins and ends leaderships, and keeps their sessions and their isr as they should be.</summary>
internal sealed class LeaderRole(
    ReplicationContext context, ViewPublisher views, PushScheduler scheduler, FollowerProgress progress, IsrKeeper isrs, Moves moves)
{
    /// <summary>This broker leads from now on: all who led before are fenced, and nothing can be appended but by it.</summary>
    public void Lead(Replica replica)
    {
        PartitionState state = replica.State;
        IReplicaLog log = replica.Log!;
        Debug.Assert(replica.Leadership is null, "A leadership begins while another lasts.");
        Debug.Assert(state.Leader == context.Self && state.LeaderEpoch > replica.RetiredEpoch, "An epoch is led twice.");
        var leadership = new Leadership(state.LeaderEpoch, log.DurableEndOffset);
        replica.Leadership = leadership;
        replica.SessionEpoch = -1;
        replica.CandidateEpoch = -1;
        replica.LeaderlessSinceMs = -1;
        context.LeaderCount++;
        SetFollowers(replica);
        context.Touch(replica);
    }

    public void StepDown(Replica replica)
    {
        if (replica.Leadership is not { } leadership)
            return;

        replica.RetiredEpoch = Math.Max(replica.RetiredEpoch, leadership.Epoch);
        replica.Leadership = null;
        context.Touch(replica);

        // Before the log is cut for another leader, nobody is served by this one any more.
        views.Publish(replica);
        context.LeaderCount--;
        if (leadership.Move is not null)
            moves.Ended();
    }

    /// <summary>Whatever this broker leads, or was about to lead, it cannot go on with in the same epoch.</summary>
    public void LogFailed(Replica replica)
    {
        replica.RetiredEpoch = Math.Max(replica.RetiredEpoch, replica.CandidateEpoch);
        if (replica.State.Leader == context.Self)
            replica.RetiredEpoch = Math.Max(replica.RetiredEpoch, replica.State.LeaderEpoch);

        StepDown(replica);
    }

    /// <summary>The state changed while this broker leads.</summary>
    public void StateChanged(Replica replica)
    {
        if (replica.Leadership is not { } leadership)
            return;

        if (replica.State.Leader != context.Self || replica.State.LeaderEpoch != leadership.Epoch || replica.State.IsDeleted)
        {
            StepDown(replica);
            return;
        }

        leadership.NeedsSwapSinceMs = -1;
        leadership.IsDoubted = false;
        moves.GiveUp(replica);
        SetFollowers(replica);
    }

    /// <summary>Everything that may be due.</summary>
    public void Reconcile(Replica replica)
    {
        Leadership leadership = replica.Leadership!;
        foreach (FollowerLink link in leadership.Links)
        {
            ReconcileLink(link);
            progress.Offer(link);
        }

        progress.AdvanceHighWatermark(replica);
        moves.Consider(replica);
        if (leadership.Move is null && !isrs.Consider(replica))
            Resign(replica);
    }

    /// <summary>Gives the leadership up without the database: a member of the isr that reaches it takes over at once.</summary>
    private void Resign(Replica replica)
    {
        Leadership leadership = replica.Leadership!;
        foreach (FollowerLink link in leadership.Links)
        {
            if (link.Peer.IsLive)
                scheduler.QueueResignation(link.Peer, replica, leadership.Epoch);
        }

        StepDown(replica);
        replica.ResignedEpoch = Math.Max(replica.ResignedEpoch, leadership.Epoch);
        context.Touch(replica);
    }

    /// <summary>The follower's broker died, or came, or came back: what was agreed with its former life is void.</summary>
    public void PeerChanged(Replica replica, Peer peer)
    {
        if (replica.Leadership?.Link(peer.BrokerId) is not { } link)
            return;

        link.Phase = LinkPhase.Idle;
        link.Call = 0;
        link.IsPushing = false;
        link.RetryAtMs = 0;
        link.Failures = 0;
    }

    private void ReconcileLink(FollowerLink link)
    {
        // It comes back by a new session, hence by an answer.
        if (link.IsOpen && link.Peer.IsSilent)
            progress.LoseSession(link);

        if (link.Phase == LinkPhase.Open && link.IsPushing && link.Call == 0)
        {
            if (context.NowMs >= link.RetryAtMs)
                progress.LoseSession(link);
            else
                context.Timers.Arm(link.Replica, link.RetryAtMs);
        }

        if (link.Phase == LinkPhase.Idle && link.Peer.IsLive)
        {
            if (context.NowMs >= link.RetryAtMs)
                scheduler.QueueSession(link);
            else
                context.Timers.Arm(link.Replica, link.RetryAtMs);
        }
    }

    private void SetFollowers(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.IsShared)
        {
            if (context.IsDraining)
                moves.Enqueue(replica);

            return;
        }

        IEnumerable<int> brokers = state.Replicas.Concat(state.Target).Concat(state.Isr.Select(member => member.BrokerId)).Distinct()
            .Where(broker => broker != context.Self);
        Leadership leadership = replica.Leadership!;
        leadership.SetFollowers(brokers, broker => new FollowerLink(replica, leadership, context.Peers.Get(broker), context.NowMs));
        if (context.IsDraining || !state.Replicas.Contains(context.Self))
            moves.Enqueue(replica);
    }
}
