using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// Reads partitions where consumers are to read them: at the leader, or at a replica in the consumer's rack (KIP-392). Safe for use by any
/// thread.
/// </summary>
/// <param name="followers">Null where partitions are not replicated.</param>
internal sealed class PartitionReads(
    PartitionGrains partitions, ClusterCache clusterCache, LocalBroker broker, ILocalFollowers? followers = null)
{
    /// <summary>Which replicas the consumers of a rack read; null if that is the leader in any case.</summary>
    /// <param name="rack">As the client has it in <c>client.rack</c>; empty for none.</param>
    public async ValueTask<RackView?> ViewAsync(string rack, KafkaListener listener) =>
        followers is not null && rack.Length > 0
        && broker.Config.GetString(BrokerConfigs.ReplicaSelectorClass) == BrokerConfigs.RackAwareReplicaSelector
            ? new RackView(await clusterCache.ViewAsync(listener), rack, broker.BrokerId)
            : null;

    public Task<PartitionReadResult> FetchAsync(FetchPosition position, PartitionRead request) =>
        IsHere(position) ? FetchHereAsync(position, request) : partitions.Get(position.Partition).FetchAsync(request);

    public Task<PartitionOffsets> WaitForOffsetAsync(FetchPosition position, PartitionWait request) =>
        IsHere(position) ? WaitHereAsync(position, request) : partitions.Get(position.Partition).WaitForOffsetAsync(request);

    /// <summary>Whether a consumer is to read at another broker, and neither here nor at the leader.</summary>
    public bool IsElsewhere(FetchPosition position) => position.Replica >= 0 && !IsHere(position);

    /// <summary>As above, now that the leader has confirmed that the position is there: replicas in sync have what is below.</summary>
    public bool IsElsewhere(FetchPosition position, PartitionReadResult result) =>
        IsElsewhere(position) && result is { Error: ErrorCode.None, Diverging: null } && position.Offset <= result.HighWatermark;

    private bool IsHere(FetchPosition position) => position.Replica == broker.BrokerId;

    private async Task<PartitionReadResult> FetchHereAsync(FetchPosition position, PartitionRead request) =>
        await followers!.FetchAsync(position.Partition, request) ?? await partitions.Get(position.Partition).FetchAsync(request);

    private async Task<PartitionOffsets> WaitHereAsync(FetchPosition position, PartitionWait request) =>
        await followers!.WaitForOffsetAsync(position.Partition, request)
        ?? await partitions.Get(position.Partition).WaitForOffsetAsync(request);
}

/// <summary>The cluster as consumers of one rack see it.</summary>
internal sealed record RackView(ClusterView Cluster, string Rack, int BrokerId)
{
    /// <summary>
    /// The broker at which a partition is to be read: the leader (-1) if it is in the rack, or nobody in sync is; else a replica in sync,
    /// this broker rather than another one.
    /// </summary>
    public int ReplicaOf(PartitionAssignment partition)
    {
        if (Cluster.RackOf(partition.Leader) is not { } leader || leader == Rack)
            return -1;

        int[] near = Array.FindAll(partition.Isr, id => Cluster.RackOf(id) == Rack);
        return near.Contains(BrokerId) ? BrokerId
            : near.Length == 0 || Cluster.IsSingleAddress ? -1
            : near[partition.Partition % near.Length];
    }
}
