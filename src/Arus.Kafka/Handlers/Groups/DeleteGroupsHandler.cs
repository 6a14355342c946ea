using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes groups without members, with their offsets.</summary>
internal sealed class DeleteGroupsHandler(IGrainFactory grains) : ApiHandler<DeleteGroupsRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteGroupsRequest request, KafkaRequestContext context) => new DeleteGroupsResponse
    {
        Results = await GrainCalls.MapAsync(request.GroupsNames, async groupId => new DeleteGroupsResponse.DeletableGroupResult
        {
            GroupId = groupId,
            ErrorCode = !GroupId.IsValid(groupId)
                ? ErrorCode.InvalidGroupId
                : await context.TryAsync(groupId, () => grains.GetGrain<IGroupGrain>(groupId).DeleteAsync(), (error, _) => error),
        }),
    };
}
