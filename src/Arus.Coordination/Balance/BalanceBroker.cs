using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Balance;

/// <summary>A live broker, as the balance of the cluster sees it.</summary>
/// <param name="Rack">Null where none is configured.</param>
/// <param name="IsDraining">What it keeps is to go to others, as far as there are any.</param>
public readonly record struct BalanceBroker(int Id, string? Rack, bool IsDraining);

/// <summary>Other replicas, or another order of them, for a partition.</summary>
/// <param name="State">The partition as it is.</param>
/// <param name="Replicas">The preferred leader first.</param>
public readonly record struct PlannedReplicas(PartitionState State, ImmutableArray<int> Replicas)
{
    /// <summary>Records have to be copied for it.</summary>
    public bool Copies => !State.IsShared && Replicas.Except(State.Replicas).Except(State.Target).Any();
}

/// <summary>A leadership that is to go to a replica in sync.</summary>
public readonly record struct PlannedLeader(PartitionState State, int Target);
