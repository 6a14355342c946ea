using Arus.Grains;
using Arus.Protocol;
using GroupRequest = Arus.Protocol.OffsetFetchRequest.OffsetFetchRequestGroup;
using GroupResponse = Arus.Protocol.OffsetFetchResponse.OffsetFetchResponseGroup;
using TopicRequest = Arus.Protocol.OffsetFetchRequest.OffsetFetchRequestTopics;
using TopicResponse = Arus.Protocol.OffsetFetchResponse.OffsetFetchResponseTopics;

namespace Arus.Kafka;

/// <summary>
/// Returns committed offsets: -1 and "" where there is none, never an error for it, but UNSTABLE_OFFSET_COMMIT to who asks for offsets
/// that no open transaction may change. One group until version 7, several since.
/// </summary>
internal sealed class OffsetFetchHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<OffsetFetchRequest>(ApiScope.CommittedOffsets)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetFetchRequest request, KafkaRequestContext context) => context.Version < 8
        ? await FetchOneAsync(request, context)
        : new OffsetFetchResponse
        {
            Groups = await GrainCalls.MapAsync(
                request.Groups,
                group => context.Version < 10
                    ? FetchAsync(group, request.RequireStable, context)
                    : FetchByIdAsync(group, request.RequireStable, context),
                context.Gone),
        };

    private async Task<OffsetFetchResponse> FetchOneAsync(OffsetFetchRequest request, KafkaRequestContext context)
    {
        TopicRequest[]? topics = request.Topics is null ? null : Array.ConvertAll(
            request.Topics, topic => new TopicRequest { Name = topic.Name, PartitionIndexes = topic.PartitionIndexes });
        GroupResponse response = await FetchAsync(
            new GroupRequest { GroupId = request.GroupId, Topics = topics }, request.RequireStable, context);
        if (response.ErrorCode != ErrorCode.None && context.Version < 2)
        {
            // Version 1 has no error but the partitions'.
            response.Topics = Array.ConvertAll(topics ?? [], topic => Fail(topic, response.ErrorCode));
        }

        return new OffsetFetchResponse
        {
            ErrorCode = response.ErrorCode,
            Topics = Array.ConvertAll(response.Topics, topic => new OffsetFetchResponse.OffsetFetchResponseTopic
            {
                Name = topic.Name,
                Partitions = Array.ConvertAll(topic.Partitions, partition => new OffsetFetchResponse.OffsetFetchResponsePartition
                {
                    PartitionIndex = partition.PartitionIndex, CommittedOffset = partition.CommittedOffset,
                    CommittedLeaderEpoch = partition.CommittedLeaderEpoch, Metadata = partition.Metadata, ErrorCode = partition.ErrorCode,
                }),
            }),
        };
    }

    /// <summary>The coordinator knows topics by name only.</summary>
    private async Task<GroupResponse> FetchByIdAsync(GroupRequest request, bool requireStable, KafkaRequestContext context)
    {
        var unknown = new List<TopicResponse>();
        var ids = new Dictionary<string, Guid>(StringComparer.Ordinal);
        foreach (TopicRequest requested in request.Topics ?? [])
        {
            context.Gone.ThrowIfCancellationRequested();
            (TopicDescription? topic, ErrorCode error) =
                await topicCache.ResolveAsync(null, requested.TopicId, context, TopicCache.MetadataMaxAge);
            if (topic is null)
            {
                unknown.Add(Fail(requested, error));
                continue;
            }

            requested.Name = topic.Name;
            ids[topic.Name] = requested.TopicId;
        }

        request.Topics = request.Topics is null ? null : Array.FindAll(request.Topics, topic => topic.Name.Length > 0);
        GroupResponse response = await FetchAsync(request, requireStable, context);
        foreach (TopicResponse topic in response.Topics)
        {
            // Where all were requested, offsets of a deleted topic are left out: it has no id.
            topic.TopicId = ids.TryGetValue(topic.Name, out Guid id)
                ? id
                : (await topicCache.ResolveAsync(topic.Name, null, context)).Topic?.Id ?? Guid.Empty;
        }

        response.Topics = response.ErrorCode != ErrorCode.None
            ? []
            : [.. unknown, .. response.Topics.Where(topic => topic.TopicId != Guid.Empty)];
        return response;
    }

    private async Task<GroupResponse> FetchAsync(GroupRequest request, bool requireStable, KafkaRequestContext context) =>
        await context.TryAsync(
            request.GroupId,
            async () => (await grains.GetGroup(request.GroupId).FetchOffsetsAsync(
                new() { Groups = [request], RequireStable = requireStable })).Groups[0],
            (error, _) => new GroupResponse { GroupId = request.GroupId, ErrorCode = error });

    private static TopicResponse Fail(TopicRequest topic, ErrorCode error) => new()
    {
        Name = topic.Name,
        TopicId = topic.TopicId,
        Partitions = Array.ConvertAll(topic.PartitionIndexes, partition => new OffsetFetchResponse.OffsetFetchResponsePartitions
        {
            PartitionIndex = partition, CommittedOffset = -1, ErrorCode = error,
        }),
    };
}
