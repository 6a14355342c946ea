using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Lists the groups of the whole cluster, whichever broker is asked.</summary>
internal sealed class ListGroupsHandler(GatewayServices services) : ApiHandler<ListGroupsRequest>
{
    private const string Classic = "classic";
    private const string Dead = "Dead";
    private const string Unknown = "Unknown";

    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(ListGroupsRequest request, RequestContext context)
    {
        if (request.TypesFilter.Length > 0 && !request.TypesFilter.Contains(Classic, StringComparer.OrdinalIgnoreCase))
        {
            return new ListGroupsResponse();
        }

        GroupDescription[] groups;
        try
        {
            string[][] shards = await Parallel.MapAsync(
                [.. Enumerable.Range(0, TopicCatalog.Shards)], shard => services.Grains.GetGrain<IGroupCatalogGrain>(shard).ListAsync());
            string[] ids = [.. shards.SelectMany(shard => shard).Order(StringComparer.Ordinal)];
            groups = await Parallel.MapAsync(ids, DescribeAsync);
        }
        catch (Exception exception)
        {
            return new ListGroupsResponse { ErrorCode = services.Explain(exception, Asked.Coordinator, "ListGroups", "all groups") };
        }

        return new ListGroupsResponse
        {
            Groups = [.. groups
                .Where(group => group.Error == ErrorCode.None && group.State != Dead)
                .Where(group => request.StatesFilter.Length == 0 || request.StatesFilter.Contains(group.State, StringComparer.OrdinalIgnoreCase))
                .Select(group => new ListGroupsResponse.ListedGroup
                {
                    GroupId = group.GroupId, ProtocolType = group.ProtocolType, GroupState = group.State, GroupType = Classic,
                })],
        };
    }

    private async Task<GroupDescription> DescribeAsync(string groupId)
    {
        try
        {
            return await services.Grains.GetGrain<IGroupGrain>(groupId).DescribeAsync();
        }
        catch (Exception exception)
        {
            // One group that cannot answer must not hide all others, nor itself.
            services.Explain(exception, Asked.Coordinator, "ListGroups", groupId);
            return new GroupDescription(ErrorCode.None, groupId, Unknown, -1, "", "", -1, []);
        }
    }
}
