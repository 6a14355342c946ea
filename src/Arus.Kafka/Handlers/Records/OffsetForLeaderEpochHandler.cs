using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers where a leader epoch ended, so that a client notices that what it has read was truncated (KIP-320).</summary>
internal sealed class OffsetForLeaderEpochHandler(PartitionGrains partitions)
    : ApiHandler<OffsetForLeaderEpochRequest>(ApiScope.Partition, RequestOrdering.Concurrent)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetForLeaderEpochRequest request, KafkaRequestContext context) =>
        new OffsetForLeaderEpochResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
            {
                Topic = topic.Topic,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => context.TryAsync(
                    new TopicPartition(topic.Topic, partition.Partition),
                    () => FindAsync(topic.Topic, partition, context),
                    (error, _) => new() { Partition = partition.Partition, ErrorCode = error })),
            }),
        };

    private async Task<OffsetForLeaderEpochResponse.EpochEndOffset> FindAsync(
        string topic, OffsetForLeaderEpochRequest.OffsetForLeaderPartition requested, KafkaRequestContext context)
    {
        (IPartitionGrain? partition, ErrorCode error) = await partitions.FindAsync(topic, requested.Partition, context);
        if (partition is null)
            return new() { Partition = requested.Partition, ErrorCode = error };

        EpochEndResponse found = await partition.GetEpochEndAsync(requested.CurrentLeaderEpoch, requested.LeaderEpoch);
        return new()
        {
            Partition = requested.Partition, ErrorCode = found.Error, LeaderEpoch = found.LeaderEpoch, EndOffset = found.EndOffset,
        };
    }
}
