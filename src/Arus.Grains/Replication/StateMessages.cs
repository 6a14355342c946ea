using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Grains;

/// <summary>Partition states as brokers tell them to each other.</summary>
internal static class StateMessages
{
    public static PartitionStates ToMessage(IReadOnlyList<PartitionState> states) => new()
    {
        States = [.. states.Select(state => new PartitionStates.PartitionState
        {
            Topic = state.Topic,
            TopicId = state.Id.TopicId,
            PartitionIndex = state.Id.Partition,
            Version = state.Version,
            LeaderEpoch = state.LeaderEpoch,
            LeaderId = state.Leader,
            IsDeleted = state.IsDeleted,
            IsUnclean = state.IsUnclean,
            IsShared = state.IsShared,
            Replicas = [.. state.Replicas],
            Isr = Convert(state.Isr),
            Elr = Convert(state.Elr),
            Target = [.. state.Target],
        })],
    };

    public static PartitionState[] ToStates(PartitionStates message) => Array.ConvertAll(message.States, state => new PartitionState(
        state.Topic, new PartitionId(state.TopicId, state.PartitionIndex), state.Version, state.LeaderEpoch, state.LeaderId,
        ImmutableArray.Create(state.Replicas), Convert(state.Isr), Convert(state.Elr), state.IsDeleted, state.IsUnclean, state.IsShared)
    {
        Target = ImmutableArray.Create(state.Target),
    });

    private static PartitionStates.ReplicaId[] Convert(ImmutableArray<ReplicaId> replicas) =>
        [.. replicas.Select(replica => new PartitionStates.ReplicaId { BrokerId = replica.BrokerId, LogId = replica.LogId })];

    private static ImmutableArray<ReplicaId> Convert(PartitionStates.ReplicaId[] replicas) =>
        [.. replicas.Select(replica => new ReplicaId(replica.BrokerId, replica.LogId))];
}
