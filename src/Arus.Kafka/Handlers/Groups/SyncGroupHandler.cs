using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Submits the leader's assignments and returns this member's; repeated until the leader has submitted them.</summary>
internal sealed class SyncGroupHandler(IGrainFactory grains) : ApiHandler<SyncGroupRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(SyncGroupRequest request, KafkaRequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return Fail(request, ErrorCode.InvalidGroupId, "");
        }

        var command = new SyncGroupCommand(
            new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationId), request.ProtocolType, request.ProtocolName,
            Array.ConvertAll(request.Assignments, assignment => new MemberAssignment(assignment.MemberId, assignment.Assignment)));
        IGroupGrain group = grains.GetGrain<IGroupGrain>(request.GroupId);
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

    protected override IApiMessage Fail(SyncGroupRequest request, ErrorCode error, string message) => new SyncGroupResponse { ErrorCode = error };

    protected override string SubjectOf(SyncGroupRequest request) => request.GroupId;
}
