using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Commits offsets of a group. Those of topics and partitions that do not exist are refused, each by itself.</summary>
internal sealed class OffsetCommitHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<OffsetCommitRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(OffsetCommitRequest request, KafkaRequestContext context) =>
        new OffsetCommitResponse
        {
            Topics = await OffsetCommits.CommitAsync(
                request.GroupId, request.Topics, byId: context.Version >= 10, context, topicCache,
                (topics, ids) =>
                {
                    request.Topics = topics;
                    return grains.GetGroup(request.GroupId).CommitOffsetsAsync(request, request.RetentionTimeMs, ids);
                },
                error => ToVersion(error, context.Version)),
        };

    /// <summary>An unknown group is an error of its own since version 9 (KIP-848).</summary>
    private static ErrorCode ToVersion(ErrorCode error, short version) =>
        error == ErrorCode.GroupIdNotFound && version < 9 ? ErrorCode.IllegalGeneration
        : version < 10 ? GrainFailure.ToErrorByName(error)
        : error;
}
