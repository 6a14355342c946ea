using Arus.Protocol;
using DeleteRecordsResponse = Arus.Protocol.DeleteRecordsResponse;

namespace Arus.Kafka;

/// <summary>Removes the records before an offset.</summary>
internal sealed class DeleteRecordsHandler(PartitionGrains partitions) : ApiHandler<DeleteRecordsRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteRecordsRequest request, KafkaRequestContext context) =>
        new DeleteRecordsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new DeleteRecordsResponse.DeleteRecordsTopicResult
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => partitions.AskAsync(
                    topic.Name, partition.PartitionIndex, context,
                    async grain =>
                    {
                        context.Connection.Watches.Forget(new TopicPartition(topic.Name, partition.PartitionIndex));
                        Grains.DeleteRecordsResponse deleted = await grain.DeleteRecordsAsync(partition.Offset);
                        return Result(partition, deleted.Error, deleted.Error == ErrorCode.None ? deleted.LogStartOffset : -1);
                    },
                    error => Result(partition, error))),
            }),
        };

    private static DeleteRecordsResponse.DeleteRecordsPartitionResult Result(
        DeleteRecordsRequest.DeleteRecordsPartition partition, ErrorCode error, long lowWatermark = -1) =>
        new() { PartitionIndex = partition.PartitionIndex, ErrorCode = error, LowWatermark = lowWatermark };
}
