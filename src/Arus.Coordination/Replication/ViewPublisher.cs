using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>Tells the data path what has changed for it.</summary>
internal sealed class ViewPublisher(ReplicationContext context)
{
    public void Publish(Replica replica)
    {
        ReplicaView? former = replica.Published;
        ReplicaRole role = Role(replica);
        if (former is null && role == ReplicaRole.None && !replica.IsReplica(context.Self))
            return;

        bool leads = role == ReplicaRole.Leader;
        Leadership? leadership = replica.Leadership;
        var view = new ReplicaView(
            replica.State,
            role,
            leadership?.EpochStart ?? -1,
            leads && !replica.State.IsShared ? InSync(replica) : leads ? 1 : 0,
            leadership?.Move is not null,
            leads && !MayBeMoved(replica),
            leads ? replica.CouldLead(context.Self) : []);
        if (former is not null && former.LeasesNeeded.SequenceEqual(view.LeasesNeeded))
            view = view with { LeasesNeeded = former.LeasesNeeded };

        if (view == former)
            return;

        replica.Published = view;
        context.Emit(new ReplicationEffect.Publish(view));
    }

    private ReplicaRole Role(Replica replica)
    {
        PartitionState state = replica.State;
        if (replica.Leadership is not null)
            return ReplicaRole.Leader;

        return replica.Log is null || state.IsShared || state.IsDeleted || state.Leader < 0 || state.Leader == context.Self
            ? ReplicaRole.None
            : ReplicaRole.Follower;
    }

    private int InSync(Replica replica)
    {
        int count = 0;
        foreach (ReplicaId member in replica.State.Isr)
        {
            if (context.Peers.IsLive(member.BrokerId) && replica.IsSurelyInSync(member))
                count++;
        }

        return count;
    }

    /// <summary>A swap may have made somebody else the leader, who waits for no lease.</summary>
    private static bool MayBeMoved(Replica replica)
    {
        foreach (PartitionState proposal in replica.Swap.Proposals)
        {
            if (proposal.Leader != replica.State.Leader)
                return true;
        }

        return false;
    }
}
