using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Answers which broker runs the coordinator of a group or of a transactional id. Any broker forwards to it; connecting to the right one
/// saves the detour.
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
        Group or Transaction => await context.TryAsync(
            key, () => LocateAsync(key, type, context), (error, message) => Fail(key, error, message)),
        _ => Fail(key, ErrorCode.InvalidRequest, $"Coordinators of type {type} are not supported."),
    };

    private async Task<FindCoordinatorResponse.Coordinator> LocateAsync(string key, sbyte type, KafkaRequestContext context)
    {
        int broker = type == Group
            ? (await grains.GetGroup(key).LocateAsync()).BrokerId
            : await grains.GetTransaction(key).LocateAsync();
        return (await clusterCache.ViewAsync(context.Listener)).Find(broker) is { } node
            ? new()
            {
                Key = key, NodeId = node.Id, Host = node.Host, Port = node.Port, ErrorMessage = context.Version < 4 ? "NONE" : "",
            }
            : Fail(
                key, ErrorCode.CoordinatorNotAvailable,
                $"Broker {broker} cannot be reached through listener {context.Listener.Name}.");
    }

    private static FindCoordinatorResponse.Coordinator Fail(string key, ErrorCode error, string message) => new()
    {
        Key = key, NodeId = -1, Host = "", Port = -1, ErrorCode = error, ErrorMessage = message,
    };
}
