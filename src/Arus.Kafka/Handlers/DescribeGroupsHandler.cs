using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes groups and their members.</summary>
internal sealed class DescribeGroupsHandler(GatewayServices services) : ApiHandler<DescribeGroupsRequest>
{
    private const string Dead = "Dead";

    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(DescribeGroupsRequest request, RequestContext context) => new DescribeGroupsResponse
    {
        Groups = await Parallel.MapAsync(
            request.Groups, async groupId => Describe(await DescribeAsync(groupId), context.Version, request.IncludeAuthorizedOperations)),
    };

    private async Task<GroupDescription> DescribeAsync(string groupId)
    {
        if (!GroupId.IsValid(groupId))
        {
            return new GroupDescription(ErrorCode.InvalidGroupId, groupId, Dead, -1, "", "", -1, []);
        }

        try
        {
            return await services.Grains.GetGrain<IGroupGrain>(groupId).DescribeAsync();
        }
        catch (Exception exception)
        {
            return new GroupDescription(services.Explain(exception, Asked.Coordinator, "DescribeGroups", groupId), groupId, "", -1, "", "", -1, []);
        }
    }

    private static DescribeGroupsResponse.DescribedGroup Describe(GroupDescription group, short version, bool includeOperations)
    {
        // A group that does not exist is an error since version 6 (KIP-1043), a dead group before.
        bool missing = group.Error == ErrorCode.GroupIdNotFound || (group.Error == ErrorCode.None && group.State == Dead);
        return new()
        {
            ErrorCode = !missing ? group.Error : version >= 6 ? ErrorCode.GroupIdNotFound : ErrorCode.None,
            ErrorMessage = missing ? $"Group {group.GroupId} not found." : null,
            GroupId = group.GroupId,
            GroupState = missing ? Dead : group.State,
            ProtocolType = group.ProtocolType,
            ProtocolData = group.ProtocolName,
            AuthorizedOperations = includeOperations ? AuthorizedOperations.Group : AuthorizedOperations.NotAsked,
            Members = Array.ConvertAll(group.Members, member => new DescribeGroupsResponse.DescribedGroupMember
            {
                MemberId = member.MemberId,
                GroupInstanceId = member.GroupInstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                MemberMetadata = member.Metadata,
                MemberAssignment = member.Assignment,
            }),
        };
    }
}
