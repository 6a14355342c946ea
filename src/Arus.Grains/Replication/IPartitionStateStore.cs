using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>
/// Where the states of a cluster's partitions are durable. Every change is a compare-and-swap of the version; the database numbers all
/// changes, never the same twice. Safe for use by any thread. A failure (<see cref="StorageFailure"/>) leaves open whether a change took
/// effect, and whether it will.
/// </summary>
public interface IPartitionStateStore
{
    /// <summary>
    /// The states that changed after a version. Since changes may become visible in another order than they were numbered, ask again from
    /// an earlier version than the last one seen.
    /// </summary>
    Task<IReadOnlyList<PartitionState>> ReadAsync(long afterVersion, CancellationToken cancellationToken = default);

    /// <summary>Makes the states of partitions that are new; those that exist already are left alone.</summary>
    Task<IReadOnlyList<PartitionState>> CreateAsync(IReadOnlyList<PartitionState> states, CancellationToken cancellationToken = default);

    /// <summary>
    /// Changes states, each by itself, all in one commit; none if the cluster's membership does not name this life of the broker as alive
    /// when they would take effect. So who knows that another is dead, and then reads the states, knows all that the other changed.
    /// </summary>
    /// <param name="proposed">Each with the version of the state that it is to replace.</param>
    /// <returns>In the same order: the state as it is now, and whether the proposal made it so.</returns>
    Task<StateSwapResult[]> SwapAsync(IReadOnlyList<PartitionState> proposed, CancellationToken cancellationToken = default);

    /// <summary>Marks the states of a topic as deleted; swaps of them are lost from then on.</summary>
    Task<IReadOnlyList<PartitionState>> DeleteAsync(Guid topicId, CancellationToken cancellationToken = default);

    /// <summary>Removes states that were marked as deleted before a time.</summary>
    Task PurgeAsync(TimeSpan olderThan, CancellationToken cancellationToken = default);
}

/// <param name="State">Null when there is no such partition.</param>
public readonly record struct StateSwapResult(bool Won, PartitionState? State);
