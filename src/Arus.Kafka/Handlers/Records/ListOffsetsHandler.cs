using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Finds offsets by time, or the first, the last, and that of the greatest timestamp.</summary>
internal sealed class ListOffsetsHandler(TopicCache topicCache, PartitionGrains partitions)
    : ApiHandler<ListOffsetsRequest>(ApiScope.Partition, RequestOrdering.Concurrent)
{
    /// <summary>The last offset in tiered storage (KIP-1005): there is none.</summary>
    private const long LastTiered = -5;

    protected override async Task<IApiMessage?> HandleAsync(ListOffsetsRequest request, KafkaRequestContext context)
    {
        IsolationLevel isolation = request.IsolationLevel == 1 ? IsolationLevel.ReadCommitted : IsolationLevel.ReadUncommitted;
        return new ListOffsetsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new ListOffsetsResponse.ListOffsetsTopicResponse
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => context.TryAsync(
                    new TopicPartition(topic.Name, partition.PartitionIndex),
                    () => FindAsync(topic.Name, partition, isolation, context),
                    (error, _) => Fail(topic.Name, partition.PartitionIndex, error))),
            }),
        };
    }

    private async Task<ListOffsetsResponse.ListOffsetsPartitionResponse> FindAsync(
        string topic, ListOffsetsRequest.ListOffsetsPartition requested, IsolationLevel isolation, KafkaRequestContext context)
    {
        (IPartitionGrain? partition, ErrorCode error) = await partitions.FindAsync(topic, requested.PartitionIndex, context);
        if (partition is null || requested.Timestamp == LastTiered)
            return new() { PartitionIndex = requested.PartitionIndex, ErrorCode = error };

        ListOffsetResponse found = await partition.ListOffsetAsync(
            new ListOffsetRequest(requested.Timestamp, requested.CurrentLeaderEpoch, isolation));
        return found.Error != ErrorCode.None
            ? Fail(topic, requested.PartitionIndex, found.Error)
            : new()
            {
                PartitionIndex = requested.PartitionIndex,
                Offset = found.Offset,
                Timestamp = found.Timestamp,
                LeaderEpoch = found.LeaderEpoch,
            };
    }

    private ListOffsetsResponse.ListOffsetsPartitionResponse Fail(string topic, int partition, ErrorCode error)
    {
        if (GrainFailure.IsRoutingError(error))
            topicCache.Invalidate(topic);

        return new() { PartitionIndex = partition, ErrorCode = error };
    }
}
