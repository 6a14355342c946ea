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
            group.AuthorizedOperations =
                request.IncludeAuthorizedOperations ? AuthorizedOperations.Group : AuthorizedOperations.NotRequested;

            // A group that does not exist is an error since version 6 (KIP-1043), a dead group before.
            group.ErrorCode = group.ErrorCode == ErrorCode.GroupIdNotFound && context.Version < 6 ? ErrorCode.None : group.ErrorCode;
        }

        return new DescribeGroupsResponse { Groups = groups };
    }

    private async Task<DescribedGroup> DescribeAsync(string groupId, KafkaRequestContext context) => !GroupId.IsValid(groupId)
        ? new DescribedGroup { ErrorCode = ErrorCode.InvalidGroupId, GroupId = groupId, GroupState = "Dead" }
        : await context.TryAsync(
            groupId,
            async () => (await grains.GetGrain<IGroupGrain>(groupId).DescribeAsync(new() { Groups = [groupId] })).Groups[0],
            (error, _) => new DescribedGroup { ErrorCode = error, GroupId = groupId });
}
