using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Answers which broker runs a group's coordinator. Any broker forwards to it; connecting to the right one saves the detour.
/// </summary>
internal sealed class FindCoordinatorHandler(IGrainFactory grains, ClusterCache clusterCache)
    : ApiHandler<FindCoordinatorRequest>(ApiScope.Coordinator)
{
    private const sbyte Group = 0;
    private const sbyte Transaction = 1;

    protected override async Task<IApiMessage?> HandleAsync(FindCoordinatorRequest request, KafkaRequestContext context)
    {
        if (context.Version >= 4)
        {
            return new FindCoordinatorResponse
            {
                Coordinators = await GrainCalls.MapAsync(
                    request.CoordinatorKeys, key => FindAsync(key, request.KeyType, context), context.Gone),
            };
        }

        FindCoordinatorResponse.Coordinator found = await FindAsync(request.Key, request.KeyType, context);
        return new FindCoordinatorResponse
        {
            ErrorCode = found.ErrorCode, ErrorMessage = found.ErrorMessage, NodeId = found.NodeId, Host = found.Host, Port = found.Port,
        };
    }

    private async Task<FindCoordinatorResponse.Coordinator> FindAsync(string key, sbyte type, KafkaRequestContext context) => type switch
    {
        Group when GroupId.IsValid(key) => await context.TryAsync(
            key, () => LocateAsync(key, context.Listener), (error, message) => Fail(key, error, message)),
        Group => Fail(key, ErrorCode.InvalidGroupId, "A group id may not be blank."),
        Transaction => Fail(
            key, ErrorCode.TransactionalIdAuthorizationFailed, $"Transactions are not supported yet (transactional.id '{key}')."),
        _ => Fail(key, ErrorCode.InvalidRequest, $"Coordinators of type {type} are not supported."),
    };

    private async Task<FindCoordinatorResponse.Coordinator> LocateAsync(string groupId, KafkaListener listener)
    {
        int broker = (await grains.GetGrain<IGroupGrain>(groupId).LocateAsync()).BrokerId;
        return (await clusterCache.ViewAsync(listener)).Find(broker) is { } node
            ? new() { Key = groupId, NodeId = node.Id, Host = node.Host, Port = node.Port }
            : Fail(groupId, ErrorCode.CoordinatorNotAvailable, $"Broker {broker} cannot be reached through listener {listener.Name}.");
    }

    private static FindCoordinatorResponse.Coordinator Fail(string key, ErrorCode error, string message) => new()
    {
        Key = key, NodeId = -1, Host = "", Port = -1, ErrorCode = error, ErrorMessage = message,
    };
}
