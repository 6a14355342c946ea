using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.DescribeProducersResponse.PartitionResponse;

namespace Arus.Kafka;

/// <summary>Describes the idempotent and transactional producers of partitions (KIP-664).</summary>
internal sealed class DescribeProducersHandler(PartitionGrains partitions) : ApiHandler<DescribeProducersRequest>(ApiScope.Partition)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeProducersRequest request, KafkaRequestContext context) =>
        new DescribeProducersResponse
        {
            Topics = await GrainCalls.MapAsync(request.Topics, async topic => new DescribeProducersResponse.TopicResponse
            {
                Name = topic.Name,
                Partitions = await GrainCalls.MapAsync(
                    topic.PartitionIndexes, partition => DescribeAsync(topic.Name, partition, context), context.Gone),
            }, context.Gone),
        };

    private Task<PartitionResponse> DescribeAsync(string topic, int partition, KafkaRequestContext context)
    {
        ValidationResult name = TopicName.Validate(topic);
        return !name.IsOk
            ? Task.FromResult(new PartitionResponse { PartitionIndex = partition, ErrorCode = name.Error, ErrorMessage = name.Message })
            : partitions.AskAsync(
                topic, partition, context,
                async (grain, topicId) => Describe(partition, await grain.DescribeProducersAsync(topicId)),
                error => Fail(partition, error));
    }

    private static PartitionResponse Describe(int partition, PartitionProducers found) => found.Error != ErrorCode.None
        ? Fail(partition, GrainFailure.ToErrorByName(found.Error))
        : new PartitionResponse
        {
            PartitionIndex = partition,
            ActiveProducers = Array.ConvertAll(found.Producers, producer => new DescribeProducersResponse.ProducerState
            {
                ProducerId = producer.ProducerId,
                ProducerEpoch = producer.Epoch,
                LastSequence = producer.LastSequence,
                LastTimestamp = producer.LastTimestamp,
                CoordinatorEpoch = producer.CoordinatorEpoch,
                CurrentTxnStartOffset = producer.TransactionStartOffset,
            }),
        };

    private static PartitionResponse Fail(int partition, ErrorCode error) => new()
    {
        PartitionIndex = partition, ErrorCode = error, ErrorMessage = $"Partition {partition} cannot be described: {error}.",
    };
}
