using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.ListOffsetsResponse.ListOffsetsPartitionResponse;

namespace Arus.Kafka;

/// <summary>Finds offsets by time, or the first, the last, and that of the greatest timestamp.</summary>
internal sealed class ListOffsetsHandler(TopicCache topicCache, PartitionGrains partitions)
    : ApiHandler<ListOffsetsRequest>(ApiScope.Partition)
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
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => partitions.AskAsync(
                    topic.Name, partition.PartitionIndex, context,
                    grain => FindAsync(grain, topic.Name, partition, isolation),
                    error => Fail(topic.Name, partition, error))),
            }),
        };
    }

    private async Task<PartitionResponse> FindAsync(
        IPartitionGrain grain, string topic, ListOffsetsRequest.ListOffsetsPartition partition, IsolationLevel isolation)
    {
        if (partition.Timestamp == LastTiered)
            return new() { PartitionIndex = partition.PartitionIndex };

        ListOffsetResponse found = await grain.ListOffsetAsync(
            new ListOffsetRequest(partition.Timestamp, partition.CurrentLeaderEpoch, isolation));
        return found.Error != ErrorCode.None ? Fail(topic, partition, found.Error) : new()
        {
            PartitionIndex = partition.PartitionIndex, Offset = found.Offset, Timestamp = found.Timestamp, LeaderEpoch = found.LeaderEpoch,
        };
    }

    private PartitionResponse Fail(string topic, ListOffsetsRequest.ListOffsetsPartition partition, ErrorCode error)
    {
        if (GrainFailure.IsRoutingError(error))
            topicCache.Invalidate(topic);

        return new() { PartitionIndex = partition.PartitionIndex, ErrorCode = error };
    }
}
