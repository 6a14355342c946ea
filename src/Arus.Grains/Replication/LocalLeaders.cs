using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <inheritdoc cref="ILocalLeaders"/>
internal sealed class LocalLeaders(ReplicationHost host, PartitionImage image) : ILocalLeaders
{
    public Task<PartitionAppendResult>? TryAppend(TopicPartition partition, PartitionAppend request)
    {
        PartitionState? state = image.Find(partition.Topic, partition.Partition);
        if (state is null || (request.TopicId != Guid.Empty && request.TopicId != state.Id.TopicId))
            return null;

        // The log takes its records before the first wait of the call.
        return host.Find(state.Id) is { Leader: { } leader, Leadership.View.HoldsAppends: false } ? leader.AppendAsync(request) : null;
    }
}
