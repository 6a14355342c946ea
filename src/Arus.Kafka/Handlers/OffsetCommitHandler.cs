using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Keeps a group's offsets. Those of topics that do not exist are refused, each by itself.</summary>
internal sealed class OffsetCommitHandler(GatewayServices services) : ApiHandler<OffsetCommitRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetCommitRequest request, RequestContext context)
    {
        var response = new OffsetCommitResponse { Topics = new OffsetCommitResponse.OffsetCommitResponseTopic[request.Topics.Length] };
        var offsets = new List<CommittedOffset>();
        var slots = new List<OffsetCommitResponse.OffsetCommitResponsePartition>();
        for (int t = 0; t < request.Topics.Length; t++)
        {
            OffsetCommitRequest.OffsetCommitRequestTopic asked = request.Topics[t];
            (TopicDescription? topic, ErrorCode error) = !GroupId.IsValid(request.GroupId)
                ? (null, ErrorCode.InvalidGroupId)
                : await services.ResolveAsync(asked.Name, context.Version >= 10 ? asked.TopicId : null, Asked.Coordinator, "OffsetCommit");
            var partitions = new OffsetCommitResponse.OffsetCommitResponsePartition[asked.Partitions.Length];
            response.Topics[t] = new() { Name = asked.Name, TopicId = asked.TopicId, Partitions = partitions };
            for (int p = 0; p < partitions.Length; p++)
            {
                OffsetCommitRequest.OffsetCommitRequestPartition partition = asked.Partitions[p];
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
            await CommitAsync(request, [.. offsets], slots);
        }

        return response;
    }

    private async Task CommitAsync(
        OffsetCommitRequest request, CommittedOffset[] offsets, List<OffsetCommitResponse.OffsetCommitResponsePartition> slots)
    {
        try
        {
            var member = new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationIdOrMemberEpoch);
            ErrorCode[] errors = await services.Grains.GetGrain<IGroupGrain>(request.GroupId).CommitOffsetsAsync(
                new CommitOffsetsCommand(member, request.RetentionTimeMs, offsets));
            for (int i = 0; i < slots.Count; i++)
            {
                slots[i].ErrorCode = errors[i];
            }
        }
        catch (Exception exception)
        {
            ErrorCode error = services.Explain(exception, Asked.Coordinator, "OffsetCommit", request.GroupId);
            slots.ForEach(slot => slot.ErrorCode = error);
        }
    }
}
