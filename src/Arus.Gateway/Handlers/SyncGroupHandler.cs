using Arus.Grains;
using Arus.Protocol;

namespace Arus.Gateway;

/// <summary>Brings the leader's assignment and fetches one's own; asks again until the leader has decided.</summary>
internal sealed class SyncGroupHandler(GatewayServices services) : ApiHandler<SyncGroupRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(SyncGroupRequest request, RequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return new SyncGroupResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        var command = new SyncGroupCommand(
            new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationId), request.ProtocolType, request.ProtocolName,
            Array.ConvertAll(request.Assignments, assignment => new MemberAssignment(assignment.MemberId, assignment.Assignment)));
        try
        {
            IGroupGrain group = services.Grains.GetGrain<IGroupGrain>(request.GroupId);
            SyncGroupResult result = await group.SyncAsync(command);
            while (result.Pending)
            {
                if (context.Closed.IsCancellationRequested)
                {
                    return null;
                }

                result = await group.SyncAsync(command);
            }

            return new SyncGroupResponse
            {
                ErrorCode = result.Error, ProtocolType = result.ProtocolType, ProtocolName = result.ProtocolName, Assignment = result.Assignment,
            };
        }
        catch (Exception exception)
        {
            return new SyncGroupResponse { ErrorCode = services.Explain(exception, Asked.Coordinator, "SyncGroup", request.GroupId) };
        }
    }
}
