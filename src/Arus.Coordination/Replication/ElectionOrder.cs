using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>Who may stand for election, and after how many others.</summary>
internal sealed class ElectionOrder(ReplicationContext context)
{
    private readonly List<int> _order = [];

    /// <returns>How many others are to try before this broker; -1 if it may not.</returns>
    public int Turn(Replica replica, out ImmutableArray<ReplicaId> isr, out bool isUnclean)
    {
        isr = [];
        isUnclean = false;
        PartitionState state = replica.State;
        if (context.IsDraining)
            return -1;

        if (state.IsShared)
            return SharedTurn(replica);

        if (replica.Log is not { } log || !replica.IsReplica(context.Self))
            return -1;

        var self = new ReplicaId(context.Self, log.LogId);
        if (state.LeaderEpoch < 0 && state.Isr.IsEmpty)
        {
            isr = [self];
            return LiveReplicas(state).IndexOf(context.Self);
        }

        bool isInIsr = state.Isr.Contains(self);
        if (isInIsr || state.Elr.Contains(self))
        {
            isr = isInIsr ? [.. state.Isr.Where(member => member == self || IsOtherAndLive(member))] : [self];
            return Candidates(replica).IndexOf(context.Self);
        }

        return UncleanTurn(replica, log, self, out isr, out isUnclean);
    }

    /// <summary>Another live broker may have all that was acknowledged.</summary>
    public bool HasOtherCandidates(PartitionState state) => state.Isr.Any(IsOtherAndLive) || state.Elr.Any(IsOtherAndLive);

    private bool IsOtherAndLive(ReplicaId member) => member.BrokerId != context.Self && context.Peers.IsLive(member.BrokerId);

    private int UncleanTurn(Replica replica, IReplicaLog log, ReplicaId self, out ImmutableArray<ReplicaId> isr, out bool isUnclean)
    {
        PartitionState state = replica.State;
        isr = [self];
        isUnclean = true;

        // A log that never took part has nothing: with it the partition would begin anew.
        bool isAllowed = replica.AllowsUncleanElection || (state.LeaderEpoch >= 0 && replica.UncleanAfterEpoch == state.LeaderEpoch);
        if (!isAllowed || log.FencedEpoch < 0 || HasOtherCandidates(state))
            return -1;

        int turn = LiveReplicas(state).IndexOf(context.Self);
        return turn < 0 ? -1 : turn + 1;
    }

    private int SharedTurn(Replica replica)
    {
        if (context.NowMs < replica.ReopenAtMs)
        {
            context.Timers.Arm(replica, replica.ReopenAtMs);
            return -1;
        }

        List<int> order = LiveReplicas(replica.State);
        order.AddRange(context.Peers.LiveBrokers().Where(broker => !replica.State.Replicas.Contains(broker)));
        return order.IndexOf(context.Self);
    }

    private List<int> LiveReplicas(PartitionState state)
    {
        _order.Clear();
        foreach (int broker in state.Replicas)
        {
            if (context.Peers.IsLive(broker))
                _order.Add(broker);
        }

        return _order;
    }

    /// <summary>
    /// Live members of the isr, then of the elr, each in the order of the replicas. A leader that resigned comes last; one that
    /// was restarted first, since the others do not stand while it lives.
    /// </summary>
    private List<int> Candidates(Replica replica)
    {
        PartitionState state = replica.State;
        _order.Clear();
        AddMembers(state, state.Isr);
        AddMembers(state, state.Elr);
        if (replica.ResignedEpoch == state.LeaderEpoch && _order.Remove(state.Leader))
            _order.Add(state.Leader);
        else if (state.Leader == context.Self && _order.Remove(context.Self))
            _order.Insert(0, context.Self);

        return _order;
    }

    private void AddMembers(PartitionState state, ImmutableArray<ReplicaId> members)
    {
        foreach (int broker in state.Replicas)
        {
            if (members.NamesBroker(broker) && context.Peers.IsLive(broker) && !_order.Contains(broker))
                _order.Add(broker);
        }

        foreach (ReplicaId member in members)
        {
            if (context.Peers.IsLive(member.BrokerId) && !_order.Contains(member.BrokerId))
                _order.Add(member.BrokerId);
        }
    }
}
