using Arus.Grains;
using Arus.Protocol;
using DescribedGroup = Arus.Protocol.DescribeGroupsResponse.DescribedGroup;

namespace Arus.Kafka;

/// <summary>Describes groups and their members.</summary>
internal sealed class DescribeGroupsHandler(IGrainFactory grains)
    : ApiHandler<DescribeGroupsRequest>(ApiScope.Coordinator)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeGroupsRequest request, KafkaRequestContext context)
    {
        DescribedGroup[] groups = await GrainCalls.MapAsync(request.Groups, groupId => DescribeAsync(groupId, context), context.Gone);
        foreach (DescribedGroup group in groups)
        {
            // A group that does not exist is an error since version 6 (KIP-1043), a dead group before.
            group.ErrorCode = group.ErrorCode == ErrorCode.GroupIdNotFound && context.Version < 6 ? ErrorCode.None : group.ErrorCode;
            group.AuthorizedOperations = request.IncludeAuthorizedOperations && group.ErrorCode == ErrorCode.None
                ? AuthorizedOperations.Group
                : AuthorizedOperations.NotRequested;
        }

        return new DescribeGroupsResponse { Groups = groups };
    }

    private async Task<DescribedGroup> DescribeAsync(string groupId, KafkaRequestContext context) =>
        await context.TryAsync(
            groupId,
            async () => (await grains.GetGroup(groupId).DescribeAsync(new() { Groups = [groupId] })).Groups[0],
            (error, _) => new DescribedGroup { ErrorCode = error, GroupId = groupId });
}
