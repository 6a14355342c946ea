using Arus.Coordination;
using Arus.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>The coordinator of a group: a <see cref="ConsumerGroup"/> over the group's rows.</summary>
internal sealed partial class GroupGrain(
    [FromKeyedServices(StorageNames.Metadata)] IGrainStorage storage, IGrainFactory grains, LocalBroker broker, ConsumerLag lag,
    TimeProvider time, ILogger<GroupGrain> logger)
    : CoordinatorGrain<ConsumerGroup, GroupRecords>(time, logger), IGroupGrain
{
    /// <summary>From this version of transactions on every end raises the producer's epoch (KIP-890).</summary>
    private const short RaisingEpochs = 2;

    private readonly GroupOptions _options = new(broker.Config);
    private readonly ILogger _logger = logger;
    private readonly TimeProvider _time = time;
    private readonly TopicIds _topics = new(storage, grains);
    private GroupStore _rows = null!;

    private string GroupId => GroupKey.Parse(this.GetPrimaryKeyString());

    public Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller) => AskAsync<JoinGroupResponse>(request, caller);

    public Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request) => AskAsync<SyncGroupResponse>(request);

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request) => AskAsync<HeartbeatResponse>(request);

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request)
    {
        string? reason = request.Members.FirstOrDefault(member => member.Reason is not null)?.Reason;
        LogLeaving(GroupId, request.Members.Length, reason ?? "no reason given");
        return AskAsync<LeaveGroupResponse>(request);
    }

    public async Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs, Guid[] topicIds)
    {
        await PrepareCommitAsync(request, topicIds);
        request.RetentionTimeMs = retentionMs;
        return await AskAsync<OffsetCommitResponse>(request);
    }

    public async Task<OffsetCommitResponse> TxnCommitOffsetsAsync(
        OffsetCommitRequest request, CommittingTransaction transaction, Guid[] topicIds)
    {
        await PrepareCommitAsync(request, topicIds);
        if (Machine.IsParticipant(transaction.ProducerId, transaction.ProducerEpoch))
            return await CommitAsync(guard: null, coordinatorEpoch: 0);

        TransactionGuard guard = Machine.Guard(
            transaction.ProducerId, transaction.AddsGroup ? transaction.ProducerEpoch : (short)-1);
        try
        {
            (ErrorCode error, int coordinatorEpoch) = await JoinTransactionAsync(transaction);
            return error == ErrorCode.None
                ? await CommitAsync(guard, coordinatorEpoch)
                : ConsumerGroup.RefuseCommit(request, error);
        }
        finally
        {
            Machine.Release(guard);
        }

        Task<OffsetCommitResponse> CommitAsync(TransactionGuard? guard, int coordinatorEpoch)
        {
            var open = new OffsetTransaction(transaction.ProducerId, transaction.ProducerEpoch, coordinatorEpoch);
            return AskAsync<OffsetCommitResponse>((group, call, nowMs) => group.CommitOffsets(call, request, open, guard, nowMs));
        }
    }

    public async Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker)
    {
        var ended = new OffsetTransaction(marker.ProducerId, marker.ProducerEpoch, marker.CoordinatorEpoch);
        OffsetCommitResponse response = await AskAsync<OffsetCommitResponse>(
            (group, call, _) => group.EndTransaction(call, ended, marker.IsCommit, marker.TransactionVersion >= RaisingEpochs));
        return response.Topics.Length == 0 ? ErrorCode.None : response.Topics[0].Partitions[0].ErrorCode;
    }

    public async Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request)
    {
        // An earlier owner of the group would take a consumer back to where it was.
        await CheckOwnershipAsync();
        OffsetFetchRequest.OffsetFetchRequestTopics[]? topics = request.Groups[0].Topics;
        await ForgetDeletedAsync(Machine.FindCommittedTopics(topics is null ? null : Array.ConvertAll(topics, topic => topic.Name)));
        return await AskAsync<OffsetFetchResponse>(request);
    }

    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request) => AskAsync<OffsetDeleteResponse>(request);

    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request) =>
        AskAsync<DescribeGroupsResponse>(request, claim: false);

    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request) => AskAsync<DeleteGroupsResponse>(request);

    public Task<GroupCoordinator> LocateAsync() => Task.FromResult(new GroupCoordinator(broker.BrokerId, Machine.Generation));

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        lag.Forget(GroupId);
        return base.OnDeactivateAsync(reason, cancellationToken);
    }

    protected override ICoordinatorStore<GroupRecords> OpenStore() => _rows = new GroupStore(
        storage, this.GetGrainId(), Guid.NewGuid(), GrainFactory.GetGrain<IGroupCatalogGrain>(TopicCatalog.ShardOf(GroupId)), lag);

    protected override ConsumerGroup CreateMachine(long nowMs) =>
        new(_options, () => Guid.NewGuid().ToString(), IGroupGrain.MaxWaitMs, _rows.Metadata, _rows.Offsets, nowMs);

    protected override void OnClaimed() => LogCoordinating(GroupId, Machine.Generation, Machine.MemberCount);

    /// <summary>
    /// Has the transaction's coordinator make the group a participant, or confirm that it is one: a producer before transaction version 2
    /// has asked for that itself.
    /// </summary>
    private async Task<GroupParticipation> JoinTransactionAsync(CommittingTransaction transaction)
    {
        ITransactionGrain coordinator = GrainFactory.GetTransaction(transaction.TransactionalId);
        GroupParticipation answer = await (transaction.AddsGroup
            ? coordinator.AddGroupAsync(transaction.ProducerId, transaction.ProducerEpoch, GroupId)
            : coordinator.VerifyGroupAsync(transaction.ProducerId, transaction.ProducerEpoch, GroupId))
            .WaitAsync(TimeSpan.FromMilliseconds(IGroupGrain.MaxWaitMs), _time);

        // The one code for a fenced producer that participants answer in every version.
        return answer.ErrorCode == ErrorCode.ProducerFenced ? answer with { ErrorCode = ErrorCode.InvalidProducerEpoch } : answer;
    }

    /// <summary>Says of which topics the offsets are, and forgets those of others that had the names.</summary>
    private async Task PrepareCommitAsync(OffsetCommitRequest request, Guid[] topicIds)
    {
        await ClaimAsync();
        if (topicIds.Length != request.Topics.Length)
            topicIds = await _topics.FindIdsAsync(Array.ConvertAll(request.Topics, topic => (topic.Name, Guid.Empty)));

        for (int i = 0; i < topicIds.Length; i++)
            request.Topics[i].TopicId = topicIds[i];

        HashSet<(string, Guid)> meant = [.. request.Topics.Select(topic => (topic.Name, topic.TopicId))];
        await ForgetDeletedAsync(
            Machine.FindCommittedTopics([.. meant.Select(topic => topic.Item1)]).Where(topic => !meant.Contains(topic)));
    }

    /// <summary>Looks up which topics have the names of these, and forgets the offsets of those that are no more.</summary>
    private async Task ForgetDeletedAsync(IEnumerable<(string Name, Guid Id)> committed)
    {
        (string Name, Guid Id)[] topics = [.. committed];
        if (topics.Length == 0)
            return;

        Guid[] present = await _topics.FindIdsAsync(topics);
        Tell(group =>
        {
            for (int i = 0; i < topics.Length; i++)
            {
                if (topics[i].Id != present[i])
                    group.KeepTopic(topics[i].Name, present[i]);
            }
        });
    }

    [LoggerMessage(LogLevel.Information, "Coordinates group {Group}, generation {Generation}, with {Members} members.")]
    private partial void LogCoordinating(string group, int generation, int members);

    [LoggerMessage(LogLevel.Information, "Group {Group}: {Count} members leave ({Reason}).")]
    private partial void LogLeaving(string group, int count, string reason);
}
