using Arus.Grains;
using Arus.Protocol;
using PartitionResponse = Arus.Protocol.OffsetCommitResponse.OffsetCommitResponsePartition;
using TopicRequest = Arus.Protocol.OffsetCommitRequest.OffsetCommitRequestTopic;

namespace Arus.Kafka;

/// <summary>Commits offsets of a group. Those of topics and partitions that do not exist are refused, each by itself.</summary>
internal sealed class OffsetCommitHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<OffsetCommitRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetCommitRequest request, KafkaRequestContext context)
    {
        var response = new OffsetCommitResponse { Topics = new OffsetCommitResponse.OffsetCommitResponseTopic[request.Topics.Length] };
        var accepted = new List<TopicRequest>();
        var ids = new List<Guid>();
        var slots = new List<PartitionResponse>();
        for (int t = 0; t < request.Topics.Length; t++)
        {
            TopicRequest requested = request.Topics[t];
            (TopicDescription? topic, ErrorCode error) =
                await topicCache.ResolveAsync(requested.Name, context.Version >= 10 ? requested.TopicId : null, context);
            bool Exists(int partition) => (uint)partition < (uint)(topic?.Partitions.Length ?? 0);
            PartitionResponse[] partitions = Array.ConvertAll(requested.Partitions, partition => new PartitionResponse
            {
                PartitionIndex = partition.PartitionIndex,
                ErrorCode = Exists(partition.PartitionIndex) ? ErrorCode.None : topic is null ? error : ErrorCode.UnknownTopicOrPartition,
            });
            response.Topics[t] = new() { Name = requested.Name, TopicId = requested.TopicId, Partitions = partitions };
            slots.AddRange(partitions.Where(partition => partition.ErrorCode == ErrorCode.None));
            var known = new TopicRequest
            {
                Name = topic?.Name ?? "", Partitions = Array.FindAll(requested.Partitions, partition => Exists(partition.PartitionIndex)),
            };
            if (known.Partitions.Length > 0)
            {
                accepted.Add(known);
                ids.Add(topic!.Id);
            }
        }

        if (slots.Count > 0)
        {
            request.Topics = [.. accepted];
            ErrorCode[] errors = await context.TryAsync(
                request.GroupId, () => CommitAsync(request, [.. ids]), (error, _) => [.. Enumerable.Repeat(error, slots.Count)]);
            for (int i = 0; i < errors.Length; i++)
                slots[i].ErrorCode = ToVersion(errors[i], context.Version);
        }

        return response;
    }

    /// <summary>An unknown group is an error of its own since version 9 (KIP-848).</summary>
    private static ErrorCode ToVersion(ErrorCode error, short version) =>
        error == ErrorCode.GroupIdNotFound && version < 9 ? ErrorCode.IllegalGeneration
        : version < 10 ? GrainFailure.ToErrorByName(error)
        : error;

    private async Task<ErrorCode[]> CommitAsync(OffsetCommitRequest request, Guid[] topicIds)
    {
        OffsetCommitResponse response =
            await grains.GetGroup(request.GroupId).CommitOffsetsAsync(request, request.RetentionTimeMs, topicIds);
        return [.. response.Topics.SelectMany(topic => topic.Partitions).Select(partition => partition.ErrorCode)];
    }
}
