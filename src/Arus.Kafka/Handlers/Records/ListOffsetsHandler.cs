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
        HashSet<TopicPartition> repeated = Merge(request);
        return new ListOffsetsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new ListOffsetsResponse.ListOffsetsTopicResponse
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(
                    topic.Partitions,
                    partition => repeated.Contains(new TopicPartition(topic.Name, partition.PartitionIndex))
                        ? Task.FromResult(Fail(topic.Name, partition, ErrorCode.InvalidRequest))
                        : partitions.AskAsync(
                            topic.Name, partition.PartitionIndex, context,
                            (grain, topicId) => FindAsync(grain, topic.Name, topicId, partition, isolation),
                            error => Fail(topic.Name, partition, error)),
                    context.Gone),
            }, context.Gone),
        };
    }

    /// <summary>Leaves each partition once, and returns those that were named more than once, which is an error in Kafka.</summary>
    private static HashSet<TopicPartition> Merge(ListOffsetsRequest request)
    {
        var named = new HashSet<TopicPartition>();
        var repeated = new HashSet<TopicPartition>();
        foreach (ListOffsetsRequest.ListOffsetsTopic topic in request.Topics)
            topic.Partitions = Array.FindAll(topic.Partitions, partition => IsFirst(new(topic.Name, partition.PartitionIndex)));

        request.Topics = Array.FindAll(request.Topics, topic => topic.Partitions.Length > 0);
        return repeated;

        bool IsFirst(TopicPartition partition)
        {
            bool isFirst = named.Add(partition);
            if (!isFirst)
                repeated.Add(partition);

            return isFirst;
        }
    }

    private async Task<PartitionResponse> FindAsync(
        IPartitionGrain grain, string topic, Guid topicId, ListOffsetsRequest.ListOffsetsPartition partition, IsolationLevel isolation)
    {
        if (partition.Timestamp == LastTiered)
            return new() { PartitionIndex = partition.PartitionIndex };

        ListOffsetResponse found = await grain.ListOffsetAsync(
            new ListOffsetRequest(partition.Timestamp, partition.CurrentLeaderEpoch, isolation, topicId));
        return found.Error != ErrorCode.None ? Fail(topic, partition, found.Error) : new()
        {
            PartitionIndex = partition.PartitionIndex, Offset = found.Offset, Timestamp = found.Timestamp, LeaderEpoch = found.LeaderEpoch,
        };
    }

    private PartitionResponse Fail(string topic, ListOffsetsRequest.ListOffsetsPartition partition, ErrorCode error)
    {
        if (GrainFailure.IsRoutingError(error))
            topicCache.Invalidate(topic);

        return new() { PartitionIndex = partition.PartitionIndex, ErrorCode = GrainFailure.ToErrorByName(error) };
    }
}
