using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

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
            SyncGroupResult result = await group.SyncAsync(command).WaitAsync(context.Closed);
            while (result.Pending)
            {
                result = await group.SyncAsync(command).WaitAsync(context.Closed);
            }

            return new SyncGroupResponse
            {
                ErrorCode = result.Error, ProtocolType = result.ProtocolType, ProtocolName = result.ProtocolName, Assignment = result.Assignment,
            };
        }
        catch (OperationCanceledException) when (context.Closed.IsCancellationRequested)
        {
            // The client is gone and nobody asks again; its member stays until its session ends.
            return null;
        }
        catch (Exception exception)
        {
            return new SyncGroupResponse { ErrorCode = services.Explain(exception, Asked.Coordinator, "SyncGroup", request.GroupId) };
        }
    }
}
