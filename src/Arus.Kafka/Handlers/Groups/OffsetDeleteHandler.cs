using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes committed offsets of topics that no member of the group is subscribed to.</summary>
internal sealed class OffsetDeleteHandler(IGrainFactory grains) : GroupHandler<OffsetDeleteRequest, OffsetDeleteResponse>(grains)
{
    protected override Task<OffsetDeleteResponse> AskAsync(IGroupGrain group, OffsetDeleteRequest request, KafkaRequestContext context) =>
        group.DeleteOffsetsAsync(request);

    protected override IApiMessage Fail(OffsetDeleteRequest request, ErrorCode error, string message) =>
        new OffsetDeleteResponse { ErrorCode = error };

    protected override string SubjectOf(OffsetDeleteRequest request) => request.GroupId;
}
