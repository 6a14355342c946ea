using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Forgets committed offsets of partitions that nobody in the group reads.</summary>
internal sealed class OffsetDeleteHandler(IGrainFactory grains) : ApiHandler<OffsetDeleteRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetDeleteRequest request, KafkaRequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return Fail(request, ErrorCode.InvalidGroupId, "");
        }

        TopicPartition[] partitions =
            [.. request.Topics.SelectMany(topic => topic.Partitions.Select(partition => new TopicPartition(topic.Name, partition.PartitionIndex)))];
        ErrorCode[] errors = await grains.GetGrain<IGroupGrain>(request.GroupId).DeleteOffsetsAsync(partitions);

        // Kafka says once, and not for each partition, that there is no such group.
        if (errors.Length > 0 && Array.TrueForAll(errors, error => error == ErrorCode.GroupIdNotFound))
        {
            return Fail(request, ErrorCode.GroupIdNotFound, "");
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

    protected override IApiMessage Fail(OffsetDeleteRequest request, ErrorCode error, string message) =>
        new OffsetDeleteResponse { ErrorCode = error };

    protected override string SubjectOf(OffsetDeleteRequest request) => request.GroupId;
}
