using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>
/// The states of partitions by the names of their topics: in a cluster from this broker's image; on a single node as their topics describe
/// them. Safe for use by any thread.
/// </summary>
internal sealed class PartitionLookup(IGrainFactory grains, PartitionImage? image = null)
{
    private const int MaxConcurrentCalls = 32;

    /// <summary>The partitions of a topic in their order; none if there is no such topic.</summary>
    public async Task<IReadOnlyList<PartitionState>> OfTopicAsync(string topic)
    {
        if (!TopicName.IsValid(topic))
            return [];

        if (image is null)
            return StatesOf(await grains.GetGrain<ITopicGrain>(topic).DescribeAsync());

        var states = new List<PartitionState>();
        while (image.Find(topic, states.Count) is { } state)
            states.Add(state);

        return states;
    }

    /// <summary>All partitions, in the order of their topics' names.</summary>
    public async Task<IReadOnlyList<PartitionState>> AllAsync()
    {
        if (image is not null)
        {
            return
            [
                .. image.All.Where(state => !state.IsDeleted)
                    .OrderBy(state => state.Topic, StringComparer.Ordinal).ThenBy(state => state.Id.Partition),
            ];
        }

        TopicListing[][] shards = await Task.WhenAll(
            Enumerable.Range(0, TopicCatalog.Shards).Select(shard => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync()));
        var states = new List<PartitionState>();
        foreach (TopicListing[] some in shards.SelectMany(shard => shard).OrderBy(topic => topic.Name, StringComparer.Ordinal)
            .Chunk(MaxConcurrentCalls))
        {
            IReadOnlyList<PartitionState>[] found = await Task.WhenAll(some.Select(topic => OfTopicAsync(topic.Name)));
            states.AddRange(found.SelectMany(topic => topic));
        }

        return states;
    }

    private static IReadOnlyList<PartitionState> StatesOf(TopicDescription? topic) => topic is null ? [] :
    [
        .. topic.Partitions.Select(partition => new PartitionState(
            topic.Name, new PartitionId(topic.Id, partition.Partition), 0, partition.LeaderEpoch, partition.Leader,
            [.. partition.Replicas], [.. partition.Isr.Select(broker => new ReplicaId(broker, Guid.Empty))], [])),
    ];
}
