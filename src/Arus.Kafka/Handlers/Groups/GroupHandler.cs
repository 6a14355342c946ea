using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Serves an API by asking the coordinator of one group, which takes the request and returns the response.</summary>
/// <typeparam name="TRequest">The type of the request.</typeparam>
/// <typeparam name="TResponse">The type of the response.</typeparam>
/// <param name="groupIdOf">The group of a request.</param>
/// <param name="fail">The response to a request that failed.</param>
/// <param name="check">What is wrong with a request of a version, before its group is looked at.</param>
internal abstract class GroupHandler<TRequest, TResponse>(
    IGrainFactory grains, Func<TRequest, string> groupIdOf, Func<IGroupGrain, TRequest, KafkaRequestContext, Task<TResponse>> ask,
    Func<TRequest, ErrorCode, TResponse> fail, Func<TRequest, short, ErrorCode>? check = null) : ApiHandler<TRequest>(ApiScope.Coordinator)
    where TRequest : IApiRequest<TRequest, TResponse>
    where TResponse : class, IApiMessage<TResponse>
{
    protected sealed override async Task<IApiMessage?> HandleAsync(TRequest request, KafkaRequestContext context)
    {
        ErrorCode error = check?.Invoke(request, context.Version) ?? ErrorCode.None;
        TResponse response = error != ErrorCode.None ? fail(request, error)
            : GroupId.CanHaveMembers(groupIdOf(request)) ? await ask(grains.GetGroup(groupIdOf(request)), request, context)
            : fail(request, ErrorCode.InvalidGroupId);
        Adapt(response, context.Version);
        return response;
    }

    /// <summary>Changes a response to what its version can say.</summary>
    protected virtual void Adapt(TResponse response, short version)
    {
    }

    protected sealed override IApiMessage Fail(TRequest request, ErrorCode error, string message) => fail(request, error);

    protected sealed override string SubjectOf(TRequest request) => groupIdOf(request);
}

/// <summary>Joins a group; answered when its rebalance is complete.</summary>
internal sealed class JoinGroupHandler(IGrainFactory grains) : GroupHandler<JoinGroupRequest, JoinGroupResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, context) => group.JoinAsync(
        request, new Caller(context.ClientId, $"/{context.Connection.RemoteAddress}", context.Version), context.Closed),
    static (request, error) => new() { ErrorCode = error, ProtocolName = "", MemberId = request.MemberId })
{
    /// <summary>An error has no protocol; before this version its name could not be null.</summary>
    private const short MinVersionWithoutProtocolName = 7;

    protected override void Adapt(JoinGroupResponse response, short version)
    {
        if (version < MinVersionWithoutProtocolName)
            response.ProtocolName ??= "";
        else if (response.ErrorCode != ErrorCode.None)
            response.ProtocolName = null;
    }
}

/// <summary>Submits the leader's assignments and returns this member's; answered when the leader has submitted them.</summary>
internal sealed class SyncGroupHandler(IGrainFactory grains) : GroupHandler<SyncGroupRequest, SyncGroupResponse>(
    grains,
    static request => request.GroupId,
    static (group, request, context) => group.SyncAsync(request, context.Closed),
    static (_, error) => new() { ErrorCode = error },
    static (request, version) => version >= MinVersionWithProtocol && (request.ProtocolType is null || request.ProtocolName is null)
        ? ErrorCode.InconsistentGroupProtocol
        : ErrorCode.None)
{
    /// <summary>Since this version a member says under which protocol it syncs (KIP-559).</summary>
    private const short MinVersionWithProtocol = 5;
}

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
