using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Removes members from a group; several at once since version 3.</summary>
internal sealed class LeaveGroupHandler(IGrainFactory grains) : GroupHandler<LeaveGroupRequest, LeaveGroupResponse>(grains)
{
    protected override async Task<LeaveGroupResponse> AskAsync(IGroupGrain group, LeaveGroupRequest request, KafkaRequestContext context)
    {
        if (context.Version >= 3)
            return await group.LeaveAsync(request);

        request.Members = [new() { MemberId = request.MemberId }];
        LeaveGroupResponse response = await group.LeaveAsync(request);
        return new LeaveGroupResponse { ErrorCode = response.Members[0].ErrorCode };
    }

    protected override IApiMessage Fail(LeaveGroupRequest request, ErrorCode error, string message) =>
        new LeaveGroupResponse { ErrorCode = error };

    protected override string SubjectOf(LeaveGroupRequest request) => request.GroupId;
}
