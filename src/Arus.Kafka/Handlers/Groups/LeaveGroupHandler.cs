using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Takes members out of a group; several at once since version 3.</summary>
internal sealed class LeaveGroupHandler(IGrainFactory grains) : ApiHandler<LeaveGroupRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(LeaveGroupRequest request, KafkaRequestContext context)
    {
        if (!GroupId.IsValid(request.GroupId))
        {
            return Fail(request, ErrorCode.InvalidGroupId, "");
        }

        const int NoGeneration = -1;
        MemberIdentity[] members = context.Version < 3
            ? [new MemberIdentity(request.MemberId, null, NoGeneration)]
            : Array.ConvertAll(request.Members, member => new MemberIdentity(member.MemberId, member.GroupInstanceId, NoGeneration));
        string? reason = request.Members.Select(member => member.Reason).FirstOrDefault(text => text is not null);
        ErrorCode[] errors = await grains.GetGrain<IGroupGrain>(request.GroupId).LeaveAsync(members, reason);
        return context.Version < 3
            ? new LeaveGroupResponse { ErrorCode = errors[0] }
            : new LeaveGroupResponse
            {
                Members = [.. members.Select((member, i) => new LeaveGroupResponse.MemberResponse
                {
                    MemberId = member.MemberId, GroupInstanceId = member.GroupInstanceId, ErrorCode = errors[i],
                })],
            };
    }

    protected override IApiMessage Fail(LeaveGroupRequest request, ErrorCode error, string message) => new LeaveGroupResponse { ErrorCode = error };

    protected override string SubjectOf(LeaveGroupRequest request) => request.GroupId;
}
