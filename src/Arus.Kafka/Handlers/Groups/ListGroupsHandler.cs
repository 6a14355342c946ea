using Arus.Grains;
using Arus.Protocol;
using DescribedGroup = Arus.Protocol.DescribeGroupsResponse.DescribedGroup;

namespace Arus.Kafka;

/// <summary>Lists the groups of the whole cluster, whichever broker is asked.</summary>
internal sealed class ListGroupsHandler(IGrainFactory grains)
    : ApiHandler<ListGroupsRequest>(ApiScope.Coordinator, "all groups")
{
    private const string Classic = "classic";
    private const string Unknown = "Unknown";

    protected override async Task<IApiMessage?> HandleAsync(ListGroupsRequest request, KafkaRequestContext context)
    {
        if (request.TypesFilter.Length > 0 && !request.TypesFilter.Contains(Classic, StringComparer.OrdinalIgnoreCase))
            return new ListGroupsResponse();

        string[][] shards = await GrainCalls.MapAsync(
            [.. Enumerable.Range(0, TopicCatalog.Shards)], shard => grains.GetGrain<IGroupCatalogGrain>(shard).ListAsync());
        string[] ids = [.. shards.SelectMany(shard => shard).Order(StringComparer.Ordinal)];

        // One group whose call fails must not hide all others, nor itself.
        DescribedGroup[] groups = await GrainCalls.MapAsync(ids, groupId => context.TryAsync(
            groupId,
            async () => (await grains.GetGrain<IGroupGrain>(groupId).DescribeAsync(new() { Groups = [groupId] })).Groups[0],
            (_, _) => new DescribedGroup { GroupId = groupId, GroupState = Unknown }), context.Gone);
        return new ListGroupsResponse
        {
            Groups = [.. groups
                .Where(group => group.ErrorCode == ErrorCode.None)
                .Where(group => request.StatesFilter.Length == 0
                    || request.StatesFilter.Contains(group.GroupState, StringComparer.OrdinalIgnoreCase))
                .Select(group => new ListGroupsResponse.ListedGroup
                {
                    GroupId = group.GroupId, ProtocolType = group.ProtocolType, GroupState = group.GroupState, GroupType = Classic,
                })],
        };
    }

    protected override IApiMessage Fail(ListGroupsRequest request, ErrorCode error, string message) =>
        new ListGroupsResponse { ErrorCode = error };
}
