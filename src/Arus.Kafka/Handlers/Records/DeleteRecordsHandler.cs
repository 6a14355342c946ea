using Arus.Protocol;
using DeleteRecordsResponse = Arus.Protocol.DeleteRecordsResponse;

namespace Arus.Kafka;

/// <summary>Removes the records before an offset.</summary>
internal sealed class DeleteRecordsHandler(PartitionGrains partitions) : ApiHandler<DeleteRecordsRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteRecordsRequest request, KafkaRequestContext context)
    {
        Merge(request);
        return new DeleteRecordsResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new DeleteRecordsResponse.DeleteRecordsTopicResult
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(topic.Partitions, partition => partitions.AskAsync(
                    topic.Name, partition.PartitionIndex, context,
                    async (grain, topicId) =>
                    {
                        context.Connection.Watches.Forget(new TopicPartition(topic.Name, partition.PartitionIndex));
                        Grains.DeleteRecordsResponse deleted = await grain.DeleteRecordsAsync(partition.Offset, topicId);
                        return Result(
                            partition, GrainFailure.ToErrorByName(deleted.Error),
                            deleted.Error == ErrorCode.None ? deleted.LogStartOffset : -1);
                    },
                    error => Result(partition, error)), context.Gone),
            }, context.Gone),
        };
    }

    /// <summary>Of a partition that is named more than once the last offset counts, as in Kafka.</summary>
    private static void Merge(DeleteRecordsRequest request)
    {
        var first = new Dictionary<TopicPartition, DeleteRecordsRequest.DeleteRecordsPartition>();
        foreach (DeleteRecordsRequest.DeleteRecordsTopic topic in request.Topics)
        {
            foreach (DeleteRecordsRequest.DeleteRecordsPartition partition in topic.Partitions)
            {
                var named = new TopicPartition(topic.Name, partition.PartitionIndex);
                if (!first.TryAdd(named, partition))
                    first[named].Offset = partition.Offset;
            }

            topic.Partitions = Array.FindAll(
                topic.Partitions, partition => first[new TopicPartition(topic.Name, partition.PartitionIndex)] == partition);
        }

        request.Topics = Array.FindAll(request.Topics, topic => topic.Partitions.Length > 0);
    }

    private static DeleteRecordsResponse.DeleteRecordsPartitionResult Result(
        DeleteRecordsRequest.DeleteRecordsPartition partition, ErrorCode error, long lowWatermark = -1) =>
        new() { PartitionIndex = partition.PartitionIndex, ErrorCode = error, LowWatermark = lowWatermark };
}
