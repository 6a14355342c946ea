using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Removes the records before an offset.</summary>
internal sealed class DeleteRecordsHandler(PartitionGrains partitions) : ApiHandler<DeleteRecordsRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteRecordsRequest request, KafkaRequestContext context) =>
        new Protocol.DeleteRecordsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new Protocol.DeleteRecordsResponse.DeleteRecordsTopicResult
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => context.TryAsync(
                    new TopicPartition(topic.Name, partition.PartitionIndex),
                    () => DeleteAsync(topic.Name, partition, context),
                    (error, _) => Result(partition.PartitionIndex, error))),
            }),
        };

    private async Task<Protocol.DeleteRecordsResponse.DeleteRecordsPartitionResult> DeleteAsync(
        string topic, DeleteRecordsRequest.DeleteRecordsPartition requested, KafkaRequestContext context)
    {
        (IPartitionGrain? partition, ErrorCode error) = await partitions.FindAsync(topic, requested.PartitionIndex, context);
        if (partition is null)
            return Result(requested.PartitionIndex, error);

        Grains.DeleteRecordsResponse deleted = await partition.DeleteRecordsAsync(requested.Offset);
        return Result(requested.PartitionIndex, deleted.Error, deleted.Error == ErrorCode.None ? deleted.LogStartOffset : -1);
    }

    private static Protocol.DeleteRecordsResponse.DeleteRecordsPartitionResult Result(
        int partition, ErrorCode error, long lowWatermark = -1) =>
        new() { PartitionIndex = partition, ErrorCode = error, LowWatermark = lowWatermark };
}
