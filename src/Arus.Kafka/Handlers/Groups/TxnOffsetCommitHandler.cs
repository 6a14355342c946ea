using Arus.Grains;
using Arus.Protocol;
using TopicRequest = Arus.Protocol.OffsetCommitRequest.OffsetCommitRequestTopic;
using TopicResponse = Arus.Protocol.TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic;

namespace Arus.Kafka;

/// <summary>
/// Commits offsets of a group in a transaction. Those of topics and partitions that do not exist are refused, each by itself.
/// </summary>
internal sealed class TxnOffsetCommitHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<TxnOffsetCommitRequest>(ApiScope.Coordinator)
{
    /// <summary>From this version on the group makes itself a participant (KIP-890).</summary>
    private const short AddsGroupSince = 5;

    private const short TopicIdsSince = 6;

    protected override async Task<IApiMessage?> HandleAsync(TxnOffsetCommitRequest request, KafkaRequestContext context)
    {
        var transaction = new CommittingTransaction(
            request.TransactionalId, request.ProducerId, request.ProducerEpoch, AddsGroup: context.Version >= AddsGroupSince);
        OffsetCommitResponse.OffsetCommitResponseTopic[] topics = await OffsetCommits.CommitAsync(
            request.GroupId, Array.ConvertAll(request.Topics, ToOffsetCommit), byId: context.Version >= TopicIdsSince, context, topicCache,
            (topics, ids) => CommitAsync(request, topics, ids, transaction),
            error => ToVersion(error, context.Version));
        return new TxnOffsetCommitResponse
        {
            Topics = Array.ConvertAll(topics, topic => new TopicResponse
            {
                Name = topic.Name,
                TopicId = topic.TopicId,
                Partitions = Array.ConvertAll(topic.Partitions, partition => new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition
                {
                    PartitionIndex = partition.PartitionIndex, ErrorCode = partition.ErrorCode,
                }),
            }),
        };
    }

    private Task<OffsetCommitResponse> CommitAsync(
        TxnOffsetCommitRequest request, TopicRequest[] topics, Guid[] ids, CommittingTransaction transaction)
    {
        if (!GroupId.CanHaveMembers(request.GroupId))
            throw new ArusException(ErrorCode.InvalidGroupId, "The offsets of a transaction belong to a group, which has to be named.");

        if (transaction.TransactionalId.Length == 0)
            throw new ArusException(ErrorCode.InvalidRequest, "The transactional id is empty.");

        return grains.GetGroup(request.GroupId).TxnCommitOffsetsAsync(
            new OffsetCommitRequest
            {
                GroupId = request.GroupId, GenerationIdOrMemberEpoch = request.GenerationIdOrMemberEpoch, MemberId = request.MemberId,
                GroupInstanceId = request.GroupInstanceId, Topics = topics,
            },
            transaction, ids);
    }

    private static TopicRequest ToOffsetCommit(TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic topic) => new()
    {
        Name = topic.Name,
        TopicId = topic.TopicId,
        Partitions = Array.ConvertAll(topic.Partitions, partition => new OffsetCommitRequest.OffsetCommitRequestPartition
        {
            PartitionIndex = partition.PartitionIndex, CommittedOffset = partition.CommittedOffset,
            CommittedLeaderEpoch = partition.CommittedLeaderEpoch, CommittedMetadata = partition.CommittedMetadata,
        }),
    };

    /// <summary>
    /// Clients before version 2 take a coordinator that is loading for a failure for good; transactions that can only be aborted are an
    /// error of their own since version 4, unknown groups since version 6.
    /// </summary>
    private static ErrorCode ToVersion(ErrorCode error, short version) => error switch
    {
        ErrorCode.CoordinatorLoadInProgress when version < 2 => ErrorCode.CoordinatorNotAvailable,
        ErrorCode.TransactionAbortable when version < 4 => ErrorCode.InvalidTxnState,
        ErrorCode.GroupIdNotFound when version < TopicIdsSince => ErrorCode.IllegalGeneration,
        _ => version < TopicIdsSince ? GrainFailure.ToErrorByName(error) : error,
    };
}
