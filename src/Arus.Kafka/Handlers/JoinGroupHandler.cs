using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Joins a group, and asks again for as long as its rebalance goes on.</summary>
internal sealed class JoinGroupHandler(GatewayServices services) : ApiHandler<JoinGroupRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(JoinGroupRequest request, RequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return Fail(request, ErrorCode.InvalidGroupId);
        }

        var command = new JoinGroupCommand(
            request.MemberId, request.GroupInstanceId,
            RequireKnownMemberId: context.Version >= 4,
            context.ClientId, $"/{context.RemoteAddress}", request.SessionTimeoutMs,
            context.Version == 0 ? request.SessionTimeoutMs : request.RebalanceTimeoutMs,
            request.ProtocolType, Array.ConvertAll(request.Protocols, protocol => new GroupProtocol(protocol.Name, protocol.Metadata)),
            request.Reason, SupportsSkippingAssignment: context.Version >= 9);
        try
        {
            IGroupGrain group = services.Grains.GetGrain<IGroupGrain>(request.GroupId);
            JoinGroupResult result = await group.JoinAsync(command).WaitAsync(context.Closed);
            while (result.Pending)
            {
                command = command with { MemberId = result.MemberId };
                result = await group.JoinAsync(command).WaitAsync(context.Closed);
            }

            return Describe(result);
        }
        catch (OperationCanceledException) when (context.Closed.IsCancellationRequested)
        {
            // The client is gone and nobody asks again; its member stays until its session ends.
            return null;
        }
        catch (Exception exception)
        {
            return Fail(request, services.Explain(exception, Asked.Coordinator, "JoinGroup", request.GroupId));
        }
    }

    private static JoinGroupResponse Describe(JoinGroupResult result) => new()
    {
        ErrorCode = result.Error,
        GenerationId = result.GenerationId,
        ProtocolType = result.ProtocolType,
        ProtocolName = result.ProtocolName ?? "",
        Leader = result.LeaderId,
        SkipAssignment = result.SkipAssignment,
        MemberId = result.MemberId,
        Members = Array.ConvertAll(result.Members, member => new JoinGroupResponse.JoinGroupResponseMember
        {
            MemberId = member.MemberId, GroupInstanceId = member.GroupInstanceId, Metadata = member.Metadata,
        }),
    };

    private static JoinGroupResponse Fail(JoinGroupRequest request, ErrorCode error) => new()
    {
        ErrorCode = error, ProtocolName = "", MemberId = request.MemberId,
    };
}
