using Arus.Grains;
using Arus.Protocol;
using Result = Arus.Protocol.DeleteGroupsResponse.DeletableGroupResult;

namespace Arus.Kafka;

/// <summary>Deletes groups without members, with their offsets.</summary>
internal sealed class DeleteGroupsHandler(IGrainFactory grains) : ApiHandler<DeleteGroupsRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteGroupsRequest request, KafkaRequestContext context) =>
        new DeleteGroupsResponse { Results = await GrainCalls.MapAsync(request.GroupsNames, groupId => DeleteAsync(groupId, context)) };

    private async Task<Result> DeleteAsync(string groupId, KafkaRequestContext context) => !GroupId.IsValid(groupId)
        ? new Result { GroupId = groupId, ErrorCode = ErrorCode.InvalidGroupId }
        : await context.TryAsync(
            groupId,
            async () => (await grains.GetGrain<IGroupGrain>(groupId).DeleteAsync(new() { GroupsNames = [groupId] })).Results[0],
            (error, _) => new Result { GroupId = groupId, ErrorCode = error });
}
