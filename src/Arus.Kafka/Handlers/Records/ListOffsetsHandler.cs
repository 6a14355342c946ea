using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.ListOffsetsResponse.ListOffsetsPartitionResponse;

namespace Arus.Kafka;

/// <summary>Finds offsets by time, or the first, the last, and that of the greatest timestamp.</summary>
internal sealed class ListOffsetsHandler(TopicCache topicCache, PartitionGrains partitions)
    : ApiHandler<ListOffsetsRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(ListOffsetsRequest request, KafkaRequestContext context)
    {
        var isolation = (IsolationLevel)request.IsolationLevel;
        bool hasIsolation = Enum.IsDefined(isolation);
        HashSet<TopicPartition> repeated = Merge(request);
        return new ListOffsetsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new ListOffsetsResponse.ListOffsetsTopicResponse
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(
                    topic.Partitions,
                    partition => Check(topic.Name, partition) is var fault and not ErrorCode.None
                        ? Task.FromResult(Fail(topic.Name, partition, fault))
                        : partitions.AskAsync(
                            topic.Name, partition.PartitionIndex, context,
                            (grain, topicId) => FindAsync(grain, topic.Name, topicId, partition, isolation),
                            error => Fail(topic.Name, partition, error)),
                    context.Gone),
            }, context.Gone),
        };

        ErrorCode Check(string topic, ListOffsetsRequest.ListOffsetsPartition partition) =>
            !hasIsolation ? ErrorCode.UnknownServerError
            : repeated.Contains(new TopicPartition(topic, partition.PartitionIndex)) ? ErrorCode.InvalidRequest
            : context.Version < FirstVersionOf(partition.Timestamp) ? ErrorCode.UnsupportedVersion
            : ErrorCode.None;
    }

    /// <summary>The version of the API since which a timestamp has its meaning; above all of them for one without.</summary>
    private static short FirstVersionOf(long timestamp) => timestamp switch
    {
        >= ListOffsetRequest.Earliest => 0, // All times, too.
        ListOffsetRequest.MaxTimestamp => 7,
        ListOffsetRequest.EarliestLocal => 8,
        ListOffsetRequest.LatestTiered => 9,
        ListOffsetRequest.EarliestPendingUpload => 11,
        _ => short.MaxValue,
    };

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
