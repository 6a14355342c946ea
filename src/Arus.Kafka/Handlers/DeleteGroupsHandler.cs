using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Deletes groups without members, with their offsets.</summary>
internal sealed class DeleteGroupsHandler(GatewayServices services) : ApiHandler<DeleteGroupsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(DeleteGroupsRequest request, RequestContext context) => new DeleteGroupsResponse
    {
        Results = await Parallel.MapAsync(request.GroupsNames, async groupId => new DeleteGroupsResponse.DeletableGroupResult
        {
            GroupId = groupId, ErrorCode = await DeleteAsync(groupId),
        }),
    };

    private async Task<ErrorCode> DeleteAsync(string groupId)
    {
        if (!GroupId.IsValid(groupId))
        {
            return ErrorCode.InvalidGroupId;
        }

        try
        {
            return await services.Grains.GetGrain<IGroupGrain>(groupId).DeleteAsync();
        }
        catch (Exception exception)
        {
            return services.Explain(exception, Asked.Coordinator, "DeleteGroups", groupId);
        }
    }
}
