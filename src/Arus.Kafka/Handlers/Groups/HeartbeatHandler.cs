using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Keeps a member in its group.</summary>
internal sealed class HeartbeatHandler(IGrainFactory grains) : GroupHandler<HeartbeatRequest, HeartbeatResponse>(grains)
{
    protected override Task<HeartbeatResponse> AskAsync(IGroupGrain group, HeartbeatRequest request, KafkaRequestContext context) =>
        group.HeartbeatAsync(request);

    protected override IApiMessage Fail(HeartbeatRequest request, ErrorCode error, string message) =>
        new HeartbeatResponse { ErrorCode = error };

    protected override string SubjectOf(HeartbeatRequest request) => request.GroupId;
}
