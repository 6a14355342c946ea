using Arus.Grains;
using Arus.Protocol;
using Result = Arus.Protocol.DeleteGroupsResponse.DeletableGroupResult;

namespace Arus.Kafka;

/// <summary>Deletes groups without members, with their offsets.</summary>
internal sealed class DeleteGroupsHandler(IGrainFactory grains) : ApiHandler<DeleteGroupsRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteGroupsRequest request, KafkaRequestContext context) =>
        new DeleteGroupsResponse
        {
            Results = await GrainCalls.MapAsync([.. request.GroupsNames.Distinct()], groupId => DeleteAsync(groupId, context)),
        };

    private Task<Result> DeleteAsync(string groupId, KafkaRequestContext context) => context.TryAsync(
        groupId,
        async () => (await grains.GetGroup(groupId).DeleteAsync(new() { GroupsNames = [groupId] })).Results[0],
        (error, message) => new Result { GroupId = groupId, ErrorCode = error, ErrorMessage = message });
}
