using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Joins a group; answered when its rebalance is complete.</summary>
internal sealed class JoinGroupHandler(IGrainFactory grains) : GroupHandler<JoinGroupRequest, JoinGroupResponse>(grains)
{
    protected override Task<JoinGroupResponse> AskAsync(IGroupGrain group, JoinGroupRequest request, KafkaRequestContext context) =>
        group.JoinAsync(request, new Caller(context.ClientId, $"/{context.Connection.RemoteAddress}", context.Version), context.Closed);

    protected override IApiMessage Fail(JoinGroupRequest request, ErrorCode error, string message) => new JoinGroupResponse
    {
        ErrorCode = error, ProtocolName = "", MemberId = request.MemberId,
    };

    protected override string SubjectOf(JoinGroupRequest request) => request.GroupId;
}
