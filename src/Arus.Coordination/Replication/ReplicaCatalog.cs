namespace Arus.Coordination.Replication;

/// <summary>All partitions that this broker knows of, and which brokers have partitions in common with it.</summary>
internal sealed class ReplicaCatalog(ReplicationContext context, LeaderRole leaders)
{
    private const int TombstoneMs = 60_000;

    private readonly Dictionary<PartitionId, (int Min, bool Unclean)> _configured = [];

    /// <summary>A state of before this broker's start: what it says that this broker leads, an earlier life led.</summary>
    public void AddFormer(PartitionState state)
    {
        if (context.Replicas.TryGetValue(state.Id, out Replica? replica) && replica.State.Version >= state.Version)
            return;

        Learn(state);
        context.Replicas[state.Id].RetiredEpoch = state.LeaderEpoch;
    }

    public void Learn(PartitionState state)
    {
        if (!context.Replicas.TryGetValue(state.Id, out Replica? replica))
        {
            replica = new Replica(state);
            if (_configured.Remove(state.Id, out (int Min, bool Unclean) settings))
                (replica.MinInSyncReplicas, replica.AllowsUncleanElection) = settings;

            replica.LeaderLearntMs = context.NowMs;
            context.Replicas.Add(state.Id, replica);
            Count(replica, 1);
        }
        else if (state.Version > replica.State.Version)
        {
            Adopt(replica, state);
        }
        else
        {
            return;
        }

        context.Touch(replica);
    }

    public void Configure(PartitionId id, int minInSyncReplicas, bool uncleanElections)
    {
        if (!context.Replicas.TryGetValue(id, out Replica? replica))
        {
            _configured[id] = (minInSyncReplicas, uncleanElections);
            return;
        }

        replica.MinInSyncReplicas = minInSyncReplicas;
        replica.AllowsUncleanElection = uncleanElections;
        context.Touch(replica);
    }

    /// <summary>Looks at all partitions after a change of the membership, those in use first.</summary>
    public void PeersChanged(List<Peer> changed)
    {
        foreach (Replica replica in context.Replicas.Values)
        {
            foreach (Peer peer in changed)
                leaders.PeerChanged(replica, peer);
        }

        TouchAll();
    }

    /// <summary>
    /// Forgets a deleted partition a while after nothing is left of it: an older state of it that is told late must not bring it back.
    /// </summary>
    public void Reconcile(Replica replica)
    {
        if (!replica.State.IsDeleted || replica.Phase != LogPhase.Closed)
            return;

        if (replica.DeletionFailures > 0 && !replica.IsDeletionOrdered)
        {
            replica.DeletedMs = -1;
            return;
        }

        if (replica.DeletedMs < 0)
            replica.DeletedMs = context.NowMs;

        if (context.NowMs >= replica.DeletedMs + TombstoneMs)
            context.Replicas.Remove(replica.Id);
        else
            context.Timers.Arm(replica, replica.DeletedMs + TombstoneMs);
    }

    public void TouchAll()
    {
        foreach (Replica replica in context.Replicas.Values.OrderByDescending(replica => replica.LastUsedMs))
            context.Touch(replica);
    }

    private void Adopt(Replica replica, PartitionState state)
    {
        Count(replica, -1);
        if (state.Leader != replica.State.Leader || state.LeaderEpoch != replica.State.LeaderEpoch)
            replica.LeaderLearntMs = context.NowMs;

        replica.State = state;
        Count(replica, 1);
        replica.Swap.Settle();
        if (replica.Challenged is { } challenged)
        {
            challenged.Challenges--;
            replica.Challenged = null;
        }

        replica.CandidateEpoch = -1;
        replica.LeaderlessSinceMs = -1;
        leaders.StateChanged(replica);
    }

    private void Count(Replica replica, int change)
    {
        if (replica.State.IsShared || replica.State.IsDeleted || !replica.IsReplica(context.Self))
            return;

        IEnumerable<int> brokers = replica.State.Replicas.Concat(replica.State.Target)
            .Concat(replica.State.Isr.Select(member => member.BrokerId))
            .Concat(replica.State.Elr.Select(member => member.BrokerId)).Distinct();
        foreach (int broker in brokers)
        {
            if (broker == context.Self)
                continue;

            Peer peer = context.Peers.Get(broker);
            peer.SharedPartitions += change;
            if (peer.SharedPartitions == 1 && change > 0)
                context.Timers.Arm(peer, context.NowMs);
        }
    }
}
