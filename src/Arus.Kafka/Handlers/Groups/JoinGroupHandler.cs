using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Joins a group, and asks again for as long as its rebalance goes on.</summary>
internal sealed class JoinGroupHandler(IGrainFactory grains) : ApiHandler<JoinGroupRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(JoinGroupRequest request, KafkaRequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return Fail(request, ErrorCode.InvalidGroupId, "");
        }

        var command = new JoinGroupCommand(
            request.MemberId, request.GroupInstanceId,
            RequireKnownMemberId: context.Version >= 4,
            context.ClientId, $"/{context.Connection.RemoteAddress}", request.SessionTimeoutMs,
            context.Version == 0 ? request.SessionTimeoutMs : request.RebalanceTimeoutMs,
            request.ProtocolType, Array.ConvertAll(request.Protocols, protocol => new GroupProtocol(protocol.Name, protocol.Metadata)),
            request.Reason, SupportsSkippingAssignment: context.Version >= 9);
        IGroupGrain group = grains.GetGrain<IGroupGrain>(request.GroupId);
        JoinGroupResult result = await group.JoinAsync(command).WaitAsync(context.Closed);
        while (result.Pending)
        {
            command = command with { MemberId = result.MemberId };
            result = await group.JoinAsync(command).WaitAsync(context.Closed);
        }

        return Describe(result);
    }

    protected override IApiMessage Fail(JoinGroupRequest request, ErrorCode error, string message) => new JoinGroupResponse
    {
        ErrorCode = error, ProtocolName = "", MemberId = request.MemberId,
    };

    protected override string SubjectOf(JoinGroupRequest request) => request.GroupId;

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
}
