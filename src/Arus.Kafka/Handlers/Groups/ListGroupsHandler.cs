using Arus.Grains;
using Arus.Protocol;
using DescribedGroup = Arus.Protocol.DescribeGroupsResponse.DescribedGroup;

namespace Arus.Kafka;

/// <summary>Lists the groups of the whole cluster, whichever broker is asked.</summary>
internal sealed class ListGroupsHandler : ApiHandler<ListGroupsRequest>
{
    private const string Classic = "classic";
    private const string Unknown = "Unknown";

    private readonly IGrainFactory _grains;
    private readonly RateLimitedFailureLogger _failures;
    private readonly SharedRun<DescribedGroup[]> _all;

    public ListGroupsHandler(IGrainFactory grains, RateLimitedFailureLogger failures)
        : base(ApiScope.Coordinator, "all groups")
    {
        (_grains, _failures) = (grains, failures);
        _all = new SharedRun<DescribedGroup[]>(DescribeAllAsync);
    }

    protected override async Task<IApiMessage?> HandleAsync(ListGroupsRequest request, KafkaRequestContext context)
    {
        if (request.TypesFilter.Length > 0 && !request.TypesFilter.Contains(Classic, StringComparer.OrdinalIgnoreCase))
            return new ListGroupsResponse();

        return new ListGroupsResponse
        {
            Groups = [.. (await _all.AskAsync())
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

    private async Task<DescribedGroup[]> DescribeAllAsync()
    {
        string[][] shards = await GrainCalls.MapAsync(
            [.. Enumerable.Range(0, TopicCatalog.Shards)], shard => _grains.GetGrain<IGroupCatalogGrain>(shard).ListAsync());
        return await GrainCalls.MapAsync([.. shards.SelectMany(shard => shard).Order(StringComparer.Ordinal)], DescribeAsync);
    }

    /// <summary>One group whose call fails must not hide all others, nor itself.</summary>
    private async Task<DescribedGroup> DescribeAsync(string groupId)
    {
        try
        {
            return (await _grains.GetGroup(groupId).DescribeAsync(new() { Groups = [groupId] })).Groups[0];
        }
        catch (Exception exception)
        {
            _failures.MapAndLog(exception, Scope, nameof(ApiKey.ListGroups), groupId);
            return new DescribedGroup { GroupId = groupId, GroupState = Unknown };
        }
    }
}
