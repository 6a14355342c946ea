using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Keeps a group's offsets. Those of topics that do not exist are refused, each by itself.</summary>
internal sealed class OffsetCommitHandler(IGrainFactory grains, TopicCache topicCache) : ApiHandler<OffsetCommitRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetCommitRequest request, KafkaRequestContext context)
    {
        var response = new OffsetCommitResponse { Topics = new OffsetCommitResponse.OffsetCommitResponseTopic[request.Topics.Length] };
        var offsets = new List<CommittedOffset>();
        var slots = new List<OffsetCommitResponse.OffsetCommitResponsePartition>();
        for (int t = 0; t < request.Topics.Length; t++)
        {
            OffsetCommitRequest.OffsetCommitRequestTopic requested = request.Topics[t];
            (TopicDescription? topic, ErrorCode error) = !GroupId.IsValid(request.GroupId)
                ? (null, ErrorCode.InvalidGroupId)
                : await topicCache.ResolveAsync(requested.Name, context.Version >= 10 ? requested.TopicId : null, context);
            var partitions = new OffsetCommitResponse.OffsetCommitResponsePartition[requested.Partitions.Length];
            response.Topics[t] = new() { Name = requested.Name, TopicId = requested.TopicId, Partitions = partitions };
            for (int p = 0; p < partitions.Length; p++)
            {
                OffsetCommitRequest.OffsetCommitRequestPartition partition = requested.Partitions[p];
                partitions[p] = new() { PartitionIndex = partition.PartitionIndex, ErrorCode = error };
                if (topic is null)
                {
                    continue;
                }

                if ((uint)partition.PartitionIndex >= (uint)topic.Partitions.Length)
                {
                    partitions[p].ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    continue;
                }

                slots.Add(partitions[p]);
                offsets.Add(new CommittedOffset(
                    new TopicPartition(topic.Name, partition.PartitionIndex), partition.CommittedOffset, partition.CommittedLeaderEpoch,
                    partition.CommittedMetadata ?? ""));
            }
        }

        if (offsets.Count > 0)
        {
            ErrorCode[] errors = await context.TryAsync(
                request.GroupId,
                () => CommitAsync(request, [.. offsets]),
                (error, _) => [.. Enumerable.Repeat(error, slots.Count)]);
            for (int i = 0; i < slots.Count; i++)
            {
                slots[i].ErrorCode = errors[i];
            }
        }

        return response;
    }

    private Task<ErrorCode[]> CommitAsync(OffsetCommitRequest request, CommittedOffset[] offsets)
    {
        var member = new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationIdOrMemberEpoch);
        return grains.GetGrain<IGroupGrain>(request.GroupId).CommitOffsetsAsync(
            new CommitOffsetsCommand(member, request.RetentionTimeMs, offsets));
    }
}
