using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Submits the leader's assignments and returns this member's; answered when the leader has submitted them.</summary>
internal sealed class SyncGroupHandler(IGrainFactory grains) : GroupHandler<SyncGroupRequest, SyncGroupResponse>(grains)
{
    protected override Task<SyncGroupResponse> AskAsync(IGroupGrain group, SyncGroupRequest request, KafkaRequestContext context) =>
        group.SyncAsync(request, context.Closed);

    protected override IApiMessage Fail(SyncGroupRequest request, ErrorCode error, string message) =>
        new SyncGroupResponse { ErrorCode = error };

    protected override string SubjectOf(SyncGroupRequest request) => request.GroupId;
}
