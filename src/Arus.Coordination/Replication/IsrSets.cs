using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>Arithmetic on the members of isr and elr.</summary>
internal static class IsrSets
{
    public static bool NamesBroker(this ImmutableArray<ReplicaId> members, int brokerId)
    {
        foreach (ReplicaId member in members)
        {
            if (member.BrokerId == brokerId)
                return true;
        }

        return false;
    }

    /// <summary>The member is in the isr of the state and of all that the state may have become.</summary>
    public static bool IsSurelyInSync(this Replica replica, ReplicaId member)
    {
        if (!replica.State.Isr.Contains(member))
            return false;

        foreach (PartitionState proposal in replica.Swap.Proposals)
        {
            if (!proposal.Isr.Contains(member))
                return false;
        }

        return true;
    }

    /// <summary>The least number of members that the isr has, whatever became of swaps: those who are in all that it may be.</summary>
    public static int SurelyInSync(this Replica replica)
    {
        if (replica.Swap.Proposals.Count == 0)
            return replica.State.Isr.Length;

        int count = 0;
        foreach (ReplicaId member in replica.State.Isr)
        {
            if (replica.IsSurelyInSync(member))
                count++;
        }

        return count;
    }

    /// <summary>Somebody who left the isr may still be electable, so that nothing may be committed without him.</summary>
    public static bool MayHaveElr(this Replica replica)
    {
        if (!replica.State.Elr.IsEmpty)
            return true;

        foreach (PartitionState proposal in replica.Swap.Proposals)
        {
            if (!proposal.Elr.IsEmpty)
                return true;
        }

        return false;
    }

    /// <summary>The brokers other than this one who could be elected, whatever became of swaps.</summary>
    public static ImmutableArray<int> CouldLead(this Replica replica, int self)
    {
        var brokers = ImmutableArray.CreateBuilder<int>();
        Add(replica.State);
        foreach (PartitionState proposal in replica.Swap.Proposals)
            Add(proposal);

        return brokers.DrainToImmutable();

        void Add(PartitionState state)
        {
            foreach (ReplicaId member in state.Isr.AddRange(state.Elr))
            {
                if (member.BrokerId != self && !brokers.Contains(member.BrokerId))
                    brokers.Add(member.BrokerId);
            }
        }
    }

    /// <summary>
    /// The state with another isr. While that is below the minimum nothing is committed, so who leaves it still has all that was (KIP-966).
    /// </summary>
    /// <param name="lost">Brokers whose log is known to be another one than they had in isr or elr.</param>
    public static PartitionState WithIsr(
        this PartitionState state, ImmutableArray<ReplicaId> isr, int min, Func<ReplicaId, bool>? lost = null)
    {
        var elr = ImmutableArray.CreateBuilder<ReplicaId>();
        if (isr.Length < min)
        {
            foreach (ReplicaId member in state.Isr.AddRange(state.Elr))
            {
                if (!isr.NamesBroker(member.BrokerId) && !elr.Contains(member) && lost?.Invoke(member) != true)
                    elr.Add(member);
            }
        }

        bool isWhole = state.Replicas.All(broker => isr.NamesBroker(broker));
        return state with { Isr = isr, Elr = elr.DrainToImmutable(), IsUnclean = state.IsUnclean && !isWhole };
    }

    public static bool HasMembersOf(this PartitionState state, PartitionState other) =>
        state.Isr.SequenceEqual(other.Isr) && state.Elr.SequenceEqual(other.Elr);
}
