using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Keeps a member in its group.</summary>
internal sealed class HeartbeatHandler(IGrainFactory grains) : ApiHandler<HeartbeatRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(HeartbeatRequest request, KafkaRequestContext context) => new HeartbeatResponse
    {
        ErrorCode = GroupId.IsValid(request.GroupId)
            ? await grains.GetGrain<IGroupGrain>(request.GroupId).HeartbeatAsync(
                new MemberIdentity(request.MemberId, request.GroupInstanceId, request.GenerationId))
            : ErrorCode.InvalidGroupId,
    };

    protected override IApiMessage Fail(HeartbeatRequest request, ErrorCode error, string message) => new HeartbeatResponse { ErrorCode = error };

    protected override string SubjectOf(HeartbeatRequest request) => request.GroupId;
}
