using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes groups and their members.</summary>
internal sealed class DescribeGroupsHandler(IGrainFactory grains)
    : ApiHandler<DescribeGroupsRequest>(ApiScope.Coordinator, RequestOrdering.Concurrent)
{
    private const string Dead = "Dead";

    protected override async Task<IApiMessage?> HandleAsync(DescribeGroupsRequest request, KafkaRequestContext context) =>
        new DescribeGroupsResponse
        {
            Groups = await GrainCalls.MapAsync(request.Groups, async groupId => Describe(
                await DescribeAsync(groupId, context), context.Version, request.IncludeAuthorizedOperations)),
        };

    private Task<GroupDescription> DescribeAsync(string groupId, KafkaRequestContext context) => GroupId.IsValid(groupId)
        ? context.TryAsync(
            groupId,
            () => grains.GetGrain<IGroupGrain>(groupId).DescribeAsync(),
            (error, _) => new GroupDescription(error, groupId, "", -1, "", "", -1, []))
        : Task.FromResult(new GroupDescription(ErrorCode.InvalidGroupId, groupId, Dead, -1, "", "", -1, []));

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
            AuthorizedOperations = includeOperations ? AuthorizedOperations.Group : AuthorizedOperations.NotRequested,
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
