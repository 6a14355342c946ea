using Arus.Protocol;
using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The coordinator of one consumer group: members, generations, committed offsets. The key is <see cref="GroupKey.Format"/>.
/// </summary>
/// <remarks>
/// Requests and responses are Kafka's, in the form of their newest version but for topics, which have names and no ids. A commit belongs
/// to the topic that has the name at that moment: when that is deleted the commit is, and another topic of the name has none. Of a
/// request for several groups the coordinator gets one that names its own alone. A request that reaches an activation which has lost the
/// group fails with an <see cref="ArusException"/> of <see cref="ErrorCode.NotCoordinator"/>: ask again.
/// <para>
/// Join and sync wait for other members, at most <see cref="MaxWaitMs"/>. Then the response says <see cref="ErrorCode.RequestTimedOut"/>,
/// and the caller repeats the request with the member id of that response, which takes its place again (<see cref="GroupWaits"/>).
/// </para>
/// </remarks>
[Alias("arus.IGroupGrain")]
public interface IGroupGrain : IGrainWithStringKey
{
    /// <summary>Below every response timeout, so that a call in flight to a silo that dies is known to be lost soon.</summary>
    const int MaxWaitMs = 4_000;

    [Alias("Join"), AlwaysInterleave]
    Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller);

    [Alias("Sync"), AlwaysInterleave]
    Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request);

    [Alias("Heartbeat"), AlwaysInterleave]
    Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request);

    /// <summary>Removes members; the response has one entry for each, in order.</summary>
    [Alias("Leave"), AlwaysInterleave]
    Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request);

    /// <summary>Answered when the offsets are durable; the response has the topics and partitions of the request, in order.</summary>
    /// <param name="request">Its <c>RetentionTimeMs</c> does not count: the version that grain calls carry lacks it.</param>
    /// <param name="retentionMs">How long to keep the offsets; -1 for the broker's <c>offsets.retention.minutes</c>.</param>
    /// <param name="topicIds">The ids of the request's topics, in order; empty to let the coordinator find out.</param>
    [Alias("CommitOffsets"), AlwaysInterleave]
    Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs, Guid[] topicIds);

    /// <summary>
    /// Commits offsets in a transaction: they count when it is committed, and are forgotten when it is aborted. Before the first of a
    /// transaction the group asks the transaction's coordinator whether it is a participant; its errors are those of the partitions.
    /// Otherwise as <see cref="CommitOffsetsAsync"/>.
    /// </summary>
    [Alias("TxnCommitOffsets"), AlwaysInterleave]
    Task<OffsetCommitResponse> TxnCommitOffsetsAsync(OffsetCommitRequest request, CommittingTransaction transaction, Guid[] topicIds);

    /// <summary>
    /// Ends a transaction in the group; answered when that is durable. A repetition does nothing. What a coordinator sends after another
    /// has taken its place is <see cref="ErrorCode.TransactionCoordinatorFenced"/>, a marker of an earlier transaction of the producer
    /// <see cref="ErrorCode.InvalidProducerEpoch"/>: neither is to be sent again.
    /// </summary>
    [Alias("WriteMarker"), AlwaysInterleave]
    Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker);

    /// <summary>
    /// Committed offsets in the order of the request; -1 and "" where there is none. What is answered is durable. If the request wants
    /// stable offsets, one that an open transaction may change is <see cref="ErrorCode.UnstableOffsetCommit"/>.
    /// </summary>
    [Alias("FetchOffsets"), AlwaysInterleave]
    Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request);

    /// <summary>Forgets offsets of topics that no member is subscribed to.</summary>
    [Alias("DeleteOffsets"), AlwaysInterleave]
    Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request);

    /// <summary>A group that does not exist is <see cref="ErrorCode.GroupIdNotFound"/>.</summary>
    [Alias("Describe"), AlwaysInterleave]
    Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request);

    /// <summary>Deletes an empty group with its offsets.</summary>
    [Alias("Delete"), AlwaysInterleave]
    Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request);

    /// <summary>Where the group's coordinator runs; activates it if it runs nowhere.</summary>
    [Alias("Locate"), AlwaysInterleave]
    Task<GroupCoordinator> LocateAsync();
}

/// <summary>The transaction in which offsets are committed.</summary>
/// <param name="AddsGroup">
/// Whether the group makes itself a participant, as from transaction version 2 on (KIP-890); otherwise the producer has done that.
/// </param>
[GenerateSerializer, Immutable, Alias("arus.CommittingTransaction")]
public readonly record struct CommittingTransaction(string TransactionalId, long ProducerId, short ProducerEpoch, bool AddsGroup);

/// <param name="BrokerId">The broker on which the coordinator runs.</param>
/// <param name="GenerationId">The group's generation; 0 before the first.</param>
[GenerateSerializer, Immutable, Alias("arus.GroupCoordinator")]
public readonly record struct GroupCoordinator(int BrokerId, int GenerationId);

/// <summary>One shard of the list of groups, sharded as topics are (<see cref="TopicCatalog.ShardOf(string)"/>).</summary>
[Alias("arus.IGroupCatalogGrain")]
public interface IGroupCatalogGrain : IGrainWithIntegerKey
{
    [Alias("Add")]
    Task AddAsync(string groupId);

    [Alias("Remove")]
    Task RemoveAsync(string groupId);

    [Alias("List"), AlwaysInterleave]
    Task<string[]> ListAsync();
}

/// <summary>Join and sync until the rebalance completes, however long that takes.</summary>
public static class GroupWaits
{
    /// <summary>Joins. The request's member id becomes the one that the coordinator gave, which a repetition must carry.</summary>
    public static async Task<JoinGroupResponse> JoinAsync(
        this IGroupGrain group, JoinGroupRequest request, Caller caller, CancellationToken cancellationToken)
    {
        while (true)
        {
            JoinGroupResponse response = await group.JoinAsync(request, caller).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (response.ErrorCode != ErrorCode.RequestTimedOut)
                return response;

            request.MemberId = response.MemberId;
        }
    }

    public static async Task<SyncGroupResponse> SyncAsync(
        this IGroupGrain group, SyncGroupRequest request, CancellationToken cancellationToken)
    {
        while (true)
        {
            SyncGroupResponse response = await group.SyncAsync(request).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (response.ErrorCode != ErrorCode.RequestTimedOut)
                return response;
        }
    }
}
