using Arus.Grains;
using Arus.Protocol;
using PartitionData = Arus.Protocol.DescribeQuorumResponse.PartitionData;

namespace Arus.Kafka;

/// <summary>
/// Describes what stands for Kafka's quorum of controllers (KIP-595). There is none: metadata is changed by compare-and-swap. So that
/// Kafka's tools show who is there, the live brokers are the voters, the one that Metadata calls the controller leads them, and all have
/// the metadata up to the newest change that this broker knows of.
/// </summary>
internal sealed class DescribeQuorumHandler(IGrainFactory grains, TimeProvider time, ITopicImage? image = null)
    : ApiHandler<DescribeQuorumRequest>(ApiScope.Metadata, "the quorum")
{
    private const string MetadataTopic = "__cluster_metadata";

    protected override async Task<IApiMessage?> HandleAsync(DescribeQuorumRequest request, KafkaRequestContext context)
    {
        ClusterDescription cluster = await grains.GetGrain<IClusterGrain>(0).DescribeAsync();
        return new DescribeQuorumResponse
        {
            ErrorMessage = "",
            Topics = Array.ConvertAll(request.Topics, topic => new DescribeQuorumResponse.TopicData
            {
                TopicName = topic.TopicName,
                Partitions = Array.ConvertAll(
                    topic.Partitions, partition => Describe(topic.TopicName, partition.PartitionIndex, cluster)),
            }),
            Nodes = Array.ConvertAll(cluster.Brokers, broker => new DescribeQuorumResponse.Node
            {
                NodeId = broker.BrokerId,
                Listeners = Array.ConvertAll(broker.Endpoints, endpoint => new DescribeQuorumResponse.Listener
                {
                    Name = endpoint.Listener, Host = endpoint.Host, Port = (ushort)endpoint.Port,
                }),
            }),
        };
    }

    protected override IApiMessage Fail(DescribeQuorumRequest request, ErrorCode error, string message) =>
        new DescribeQuorumResponse { ErrorCode = error, ErrorMessage = message };

    private PartitionData Describe(string topic, int partition, ClusterDescription cluster)
    {
        if (topic != MetadataTopic || partition != 0)
        {
            return new PartitionData
            {
                PartitionIndex = partition, ErrorCode = ErrorCode.UnknownTopicOrPartition,
                ErrorMessage = $"Only partition 0 of {MetadataTopic} stands for a quorum.",
            };
        }

        long version = image?.LatestVersion ?? 0;
        long now = time.GetUtcNow().ToUnixTimeMilliseconds();
        return new PartitionData
        {
            PartitionIndex = partition,
            LeaderId = cluster.ControllerId,
            HighWatermark = version,
            CurrentVoters = Array.ConvertAll(cluster.Brokers, broker => new DescribeQuorumResponse.ReplicaState
            {
                ReplicaId = broker.BrokerId, LogEndOffset = version, LastFetchTimestamp = now, LastCaughtUpTimestamp = now,
            }),
        };
    }
}
