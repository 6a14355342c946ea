using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Serves an API by asking the coordinator of one group, which takes the request and returns the response.</summary>
/// <typeparam name="TRequest">The type of the request.</typeparam>
/// <typeparam name="TResponse">The type of the response.</typeparam>
/// <param name="groupIdOf">The group of a request.</param>
/// <param name="fail">The response to a request that failed.</param>
internal abstract class GroupHandler<TRequest, TResponse>(
    IGrainFactory grains, Func<TRequest, string> groupIdOf, Func<IGroupGrain, TRequest, KafkaRequestContext, Task<TResponse>> ask,
    Func<TRequest, ErrorCode, TResponse> fail) : ApiHandler<TRequest>(ApiScope.Coordinator)
    where TRequest : IApiRequest<TRequest, TResponse>
    where TResponse : class, IApiMessage<TResponse>
{
    protected sealed override async Task<IApiMessage?> HandleAsync(TRequest request, KafkaRequestContext context) =>
        GroupId.IsValid(groupIdOf(request))
            ? await ask(grains.GetGrain<IGroupGrain>(groupIdOf(request)), request, context)
            : fail(request, ErrorCode.InvalidGroupId);

    protected sealed override IApiMessage Fail(TRequest request, ErrorCode error, string message) => fail(request, error);

    protected sealed override string SubjectOf(TRequest request) => groupIdOf(request);
}

/// <summary>Joins a group; answered when its rebalance is complete.</summary>
internal sealed class JoinGroupHandler(IGrainFactory grains) : GroupHandler<JoinGroupRequest, JoinGroupResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, context) => group.JoinAsync(
        request, new Caller(context.ClientId, $"/{context.Connection.RemoteAddress}", context.Version), context.Closed),
    static (request, error) => new() { ErrorCode = error, ProtocolName = "", MemberId = request.MemberId });

/// <summary>Submits the leader's assignments and returns this member's; answered when the leader has submitted them.</summary>
internal sealed class SyncGroupHandler(IGrainFactory grains) : GroupHandler<SyncGroupRequest, SyncGroupResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, context) => group.SyncAsync(request, context.Closed),
    static (_, error) => new() { ErrorCode = error });

/// <summary>Keeps a member in its group.</summary>
internal sealed class HeartbeatHandler(IGrainFactory grains) : GroupHandler<HeartbeatRequest, HeartbeatResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, _) => group.HeartbeatAsync(request),
    static (_, error) => new() { ErrorCode = error });

/// <summary>Removes members from a group; several at once since version 3.</summary>
internal sealed class LeaveGroupHandler(IGrainFactory grains) : GroupHandler<LeaveGroupRequest, LeaveGroupResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, context) => context.Version >= 3 ? group.LeaveAsync(request) : LeaveOneAsync(group, request),
    static (_, error) => new() { ErrorCode = error })
{
    private static async Task<LeaveGroupResponse> LeaveOneAsync(IGroupGrain group, LeaveGroupRequest request)
    {
        request.Members = [new() { MemberId = request.MemberId }];
        return new LeaveGroupResponse { ErrorCode = (await group.LeaveAsync(request)).Members[0].ErrorCode };
    }
}

/// <summary>Deletes committed offsets of topics that no member of the group is subscribed to.</summary>
internal sealed class OffsetDeleteHandler(IGrainFactory grains) : GroupHandler<OffsetDeleteRequest, OffsetDeleteResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, _) => group.DeleteOffsetsAsync(request),
    static (_, error) => new() { ErrorCode = error });
