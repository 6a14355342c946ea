using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>Names a partition for good: another topic of the same name has another id.</summary>
public readonly record struct PartitionId(Guid TopicId, int Partition);

/// <summary>A member of isr or elr: a broker and the log that it has. The same broker with another log is another member.</summary>
public readonly record struct ReplicaId(int BrokerId, Guid LogId);

/// <summary>
/// Who keeps a partition, who is in sync, and who leads it in which epoch. Changed only by compare-and-swap of its
/// <see cref="Version"/>: the swap that names a leader is the election.
/// </summary>
/// <param name="Topic">The topic's name.</param>
/// <param name="Version">Given by the database to each change, never twice.</param>
/// <param name="LeaderEpoch">-1 before the first leader; grows with every leadership.</param>
/// <param name="Leader">The broker that leads in this epoch, or is about to; -1 for none.</param>
/// <param name="Replicas">The brokers that keep the partition, the preferred leader first.</param>
/// <param name="Isr">
/// In sync: each has all that was acknowledged with acks=all. Empty only before the first leader.
/// </param>
/// <param name="Elr">Left the isr when it fell below the minimum, and still has all that was acknowledged (KIP-966).</param>
/// <param name="IsDeleted">The topic was deleted; its logs go.</param>
/// <param name="IsShared">The log is in the database, where every broker reads it: one copy, and any live broker may lead.</param>
/// <param name="IsUnclean">
/// A leader was elected without being in sync since all replicas were in the isr: records may have been lost, and followers may truncate
/// what they took for committed.
/// </param>
public sealed record PartitionState(
    string Topic, PartitionId Id, long Version, int LeaderEpoch, int Leader, ImmutableArray<int> Replicas,
    ImmutableArray<ReplicaId> Isr, ImmutableArray<ReplicaId> Elr, bool IsDeleted = false, bool IsUnclean = false,
    bool IsShared = false)
{
    /// <summary>
    /// The replicas with which a reassignment is to end, the preferred leader first; empty while there is none. Until all who are new are
    /// in sync the partition's <see cref="Replicas"/> stay as they were, so that it can be cancelled.
    /// </summary>
    public ImmutableArray<int> Target { get; init; } = [];

    /// <summary>The broker keeps the partition, or is to.</summary>
    public bool IsAssigned(int brokerId) => Replicas.Contains(brokerId) || Target.Contains(brokerId);
}
