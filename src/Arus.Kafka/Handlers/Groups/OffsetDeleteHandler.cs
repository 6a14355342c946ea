using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.OffsetDeleteResponse.OffsetDeleteResponsePartition;
using TopicRequest = Arus.Protocol.OffsetDeleteRequest.OffsetDeleteRequestTopic;

namespace Arus.Kafka;

/// <summary>
/// Deletes committed offsets of topics that no member of the group is subscribed to. Topics and partitions that do not exist are refused,
/// each by itself.
/// </summary>
internal sealed class OffsetDeleteHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<OffsetDeleteRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetDeleteRequest request, KafkaRequestContext context)
    {
        if (!GroupId.CanHaveMembers(request.GroupId))
            return Fail(request, ErrorCode.InvalidGroupId, "");

        TopicRequest[] topics = Array.FindAll(request.Topics, topic => topic.Partitions.Length > 0);
        var existing = new List<TopicRequest>();
        var response = new OffsetDeleteResponse();
        var slots = new List<PartitionResponse>();
        response.Topics = await GrainCalls.MapAsync(topics, async topic =>
        {
            int count = (await topicCache.ResolveAsync(topic.Name, null, context)).Topic?.Partitions.Length ?? 0;
            return new OffsetDeleteResponse.OffsetDeleteResponseTopic
            {
                Name = topic.Name,
                Partitions = Array.ConvertAll(topic.Partitions, partition => new PartitionResponse
                {
                    PartitionIndex = partition.PartitionIndex,
                    ErrorCode = (uint)partition.PartitionIndex < (uint)count ? ErrorCode.None : ErrorCode.UnknownTopicOrPartition,
                }),
            };
        }, context.Gone);
        foreach ((TopicRequest topic, OffsetDeleteResponse.OffsetDeleteResponseTopic checkedTopic) in topics.Zip(response.Topics))
        {
            PartitionResponse[] known = Array.FindAll(checkedTopic.Partitions, partition => partition.ErrorCode == ErrorCode.None);
            slots.AddRange(known);
            if (known.Length > 0)
            {
                existing.Add(new TopicRequest
                {
                    Name = topic.Name,
                    Partitions = Array.ConvertAll(
                        known,
                        partition => new OffsetDeleteRequest.OffsetDeleteRequestPartition { PartitionIndex = partition.PartitionIndex }),
                });
            }
        }

        // A group that does not exist, or may not lose offsets, is an error of the request, whatever it names.
        OffsetDeleteResponse deleted = await grains.GetGroup(request.GroupId).DeleteOffsetsAsync(
            new OffsetDeleteRequest { GroupId = request.GroupId, Topics = [.. existing] });
        if (deleted.ErrorCode != ErrorCode.None)
            return Fail(request, deleted.ErrorCode, "");

        foreach ((PartitionResponse slot, PartitionResponse partition) in
            slots.Zip(deleted.Topics.SelectMany(topic => topic.Partitions)))
        {
            slot.ErrorCode = partition.ErrorCode;
        }

        return response;
    }

    protected override IApiMessage Fail(OffsetDeleteRequest request, ErrorCode error, string message) =>
        new OffsetDeleteResponse { ErrorCode = error };

    protected override string SubjectOf(OffsetDeleteRequest request) => request.GroupId;
}
