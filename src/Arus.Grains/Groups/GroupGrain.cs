using Arus.Coordination;
using Arus.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>The coordinator of a group: a <see cref="ConsumerGroup"/> over the group's rows.</summary>
internal sealed partial class GroupGrain(
    [FromKeyedServices(StorageNames.Metadata)] IGrainStorage storage, LocalBroker broker, ConsumerLag lag, TimeProvider time,
    ILogger<GroupGrain> logger)
    : CoordinatorGrain<ConsumerGroup, GroupRecords>(time, logger), IGroupGrain
{
    private readonly GroupOptions _options = new(broker.Config);
    private readonly ILogger _logger = logger;
    private GroupStore _rows = null!;

    private string GroupId => this.GetPrimaryKeyString();

    public Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller) => AskAsync<JoinGroupResponse>(request, caller);

    public Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request) => AskAsync<SyncGroupResponse>(request);

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request) => AskAsync<HeartbeatResponse>(request);

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request)
    {
        string? reason = request.Members.FirstOrDefault(member => member.Reason is not null)?.Reason;
        LogLeaving(GroupId, request.Members.Length, reason ?? "no reason given");
        return AskAsync<LeaveGroupResponse>(request);
    }

    public Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs)
    {
        request.RetentionTimeMs = retentionMs;
        return AskAsync<OffsetCommitResponse>(request);
    }

    public async Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request)
    {
        // An earlier owner of the group would take a consumer back to where it was.
        await CheckOwnershipAsync();
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

    [LoggerMessage(LogLevel.Information, "Coordinates group {Group}, generation {Generation}, with {Members} members.")]
    private partial void LogCoordinating(string group, int generation, int members);

    [LoggerMessage(LogLevel.Information, "Group {Group}: {Count} members leave ({Reason}).")]
    private partial void LogLeaving(string group, int count, string reason);
}
