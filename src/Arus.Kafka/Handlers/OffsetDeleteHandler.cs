using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Forgets committed offsets of partitions that nobody in the group reads.</summary>
internal sealed class OffsetDeleteHandler(GatewayServices services) : ApiHandler<OffsetDeleteRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetDeleteRequest request, RequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return new OffsetDeleteResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        TopicPartition[] partitions =
            [.. request.Topics.SelectMany(topic => topic.Partitions.Select(partition => new TopicPartition(topic.Name, partition.PartitionIndex)))];
        try
        {
            IGroupGrain group = services.Grains.GetGrain<IGroupGrain>(request.GroupId);
            ErrorCode[] errors = await group.DeleteOffsetsAsync(partitions);

            // Kafka says once, and not for each partition, that there is no such group.
            if (errors.Length > 0 && Array.TrueForAll(errors, error => error == ErrorCode.GroupIdNotFound))
            {
                return new OffsetDeleteResponse { ErrorCode = ErrorCode.GroupIdNotFound };
            }

            return new OffsetDeleteResponse
            {
                Topics = [.. partitions.Zip(errors).GroupBy(row => row.First.Topic).Select(topic => new OffsetDeleteResponse.OffsetDeleteResponseTopic
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(row => new OffsetDeleteResponse.OffsetDeleteResponsePartition
                    {
                        PartitionIndex = row.First.Partition, ErrorCode = row.Second,
                    })],
                })],
            };
        }
        catch (Exception exception)
        {
            return new OffsetDeleteResponse { ErrorCode = services.Explain(exception, Asked.Coordinator, "OffsetDelete", request.GroupId) };
        }
    }
}
