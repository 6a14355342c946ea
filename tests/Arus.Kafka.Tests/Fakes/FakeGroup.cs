using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>A group in memory, whose joins and syncs are those that the test puts into it.</summary>
internal sealed class FakeGroup(string id) : IGroupGrain
{
    private readonly TaskCompletionSource _waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly InMemoryGroup _group = new();

    public Queue<JoinGroupResponse> Joins { get; } = new();

    public Queue<SyncGroupResponse> Syncs { get; } = new();

    /// <summary>The member id and the caller of each join.</summary>
    public List<(string MemberId, Caller Caller)> JoinCalls { get; } = [];

    /// <summary>Set: joins and syncs are not answered before it ends, as in a rebalance that waits for other members.</summary>
    public TaskCompletionSource? Rebalance { get; set; }

    public Exception? Failure { get; set; }

    public int Coordinator { get; set; } = 1;

    /// <summary>What the group is described as; the state of the group in memory otherwise.</summary>
    public string? State { get; set; }

    public async Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, Caller caller)
    {
        JoinCalls.Add((request.MemberId, caller));
        await WaitAsync();
        return await Answer(() => Task.FromResult(Joins.Dequeue()));
    }

    public async Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request)
    {
        await WaitAsync();
        return await Answer(() => Task.FromResult(Syncs.Dequeue()));
    }

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request) => Answer(() => _group.HeartbeatAsync(request));

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request) => Answer(() => Task.FromResult(new LeaveGroupResponse
    {
        Members = Array.ConvertAll(request.Members, member => new LeaveGroupResponse.MemberResponse
        {
            MemberId = member.MemberId,
            GroupInstanceId = member.GroupInstanceId,
            ErrorCode = member.MemberId == "gone" ? ErrorCode.UnknownMemberId : ErrorCode.None,
        }),
    }));

    public Task<OffsetCommitResponse> CommitOffsetsAsync(OffsetCommitRequest request, long retentionMs) =>
        Answer(() => _group.CommitOffsetsAsync(request, retentionMs));

    public Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request) => Answer(() => _group.FetchOffsetsAsync(request));

    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request) => Answer(() => _group.DeleteOffsetsAsync(request));

    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request) => Answer(() => State is null
        ? _group.DescribeAsync(request)
        : Task.FromResult(new DescribeGroupsResponse { Groups = [new() { GroupId = id, GroupState = State, ProtocolType = "consumer" }] }));

    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request) => Answer(() => _group.DeleteAsync(request));

    public Task<GroupCoordinator> LocateAsync() => Answer(() => Task.FromResult(new GroupCoordinator(Coordinator, 0)));

    /// <summary>Ends when a join or sync waits for <see cref="Rebalance"/>.</summary>
    public Task WaitsAsync() => _waiting.Task.WaitAsync(TestTimeout.Value);

    private async Task WaitAsync()
    {
        if (Rebalance is { } rebalance)
        {
            _waiting.TrySetResult();
            await rebalance.Task;
        }
    }

    private Task<T> Answer<T>(Func<Task<T>> answer) => Failure is null ? answer() : Task.FromException<T>(Failure);
}
