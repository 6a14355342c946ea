using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Keeps a member in its group.</summary>
internal sealed class HeartbeatHandler(GatewayServices services) : ApiHandler<HeartbeatRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(HeartbeatRequest request, RequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return new HeartbeatResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        try
        {
            var member = new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationId);
            return new HeartbeatResponse { ErrorCode = await services.Grains.GetGrain<IGroupGrain>(request.GroupId).HeartbeatAsync(member) };
        }
        catch (Exception exception)
        {
            return new HeartbeatResponse { ErrorCode = services.Explain(exception, Asked.Coordinator, "Heartbeat", request.GroupId) };
        }
    }
}
