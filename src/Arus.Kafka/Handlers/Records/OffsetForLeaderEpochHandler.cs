using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers where a leader epoch ended, so that a client notices that what it has read was truncated (KIP-320).</summary>
internal sealed class OffsetForLeaderEpochHandler(PartitionGrains partitions)
    : ApiHandler<OffsetForLeaderEpochRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetForLeaderEpochRequest request, KafkaRequestContext context) =>
        new OffsetForLeaderEpochResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
            {
                Topic = topic.Topic,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => partitions.AskAsync(
                    topic.Topic, partition.Partition, context,
                    async (grain, topicId) =>
                    {
                        EpochEndResponse found = await grain.GetEpochEndAsync(
                            partition.CurrentLeaderEpoch, partition.LeaderEpoch, topicId);
                        return new OffsetForLeaderEpochResponse.EpochEndOffset
                        {
                            Partition = partition.Partition, ErrorCode = GrainFailure.ToErrorByName(found.Error),
                            LeaderEpoch = found.LeaderEpoch, EndOffset = found.EndOffset,
                        };
                    },
                    error => new() { Partition = partition.Partition, ErrorCode = error }), context.Gone),
            }, context.Gone),
        };
}
