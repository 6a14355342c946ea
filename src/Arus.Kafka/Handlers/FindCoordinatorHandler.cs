using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Says which broker runs a group's coordinator. Any broker would do, since it forwards; the right one saves the detour.</summary>
internal sealed class FindCoordinatorHandler(GatewayServices services) : ApiHandler<FindCoordinatorRequest>
{
    private const sbyte Group = 0;
    private const sbyte Transaction = 1;

    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(FindCoordinatorRequest request, RequestContext context)
    {
        if (context.Version >= 4)
        {
            return new FindCoordinatorResponse
            {
                Coordinators = await Parallel.MapAsync(request.CoordinatorKeys, key => FindAsync(key, request.KeyType, context.Listener)),
            };
        }

        FindCoordinatorResponse.Coordinator found = await FindAsync(request.Key, request.KeyType, context.Listener);
        return new FindCoordinatorResponse
        {
            ErrorCode = found.ErrorCode, ErrorMessage = found.ErrorMessage, NodeId = found.NodeId, Host = found.Host, Port = found.Port,
        };
    }

    private async Task<FindCoordinatorResponse.Coordinator> FindAsync(string key, sbyte type, KafkaListener listener)
    {
        if (type != Group)
        {
            return type == Transaction
                ? Fail(key, ErrorCode.TransactionalIdAuthorizationFailed, $"Transactions are not supported yet (transactional.id '{key}').")
                : Fail(key, ErrorCode.InvalidRequest, $"Coordinators of type {type} are not supported.");
        }

        if (!GroupId.IsValid(key))
        {
            return Fail(key, ErrorCode.InvalidGroupId, "A group id may not be blank.");
        }

        try
        {
            int broker = await services.Grains.GetGrain<IGroupGrain>(key).LocateAsync();
            return (await services.ViewAsync(listener)).Find(broker) is { } node
                ? new() { Key = key, NodeId = node.Id, Host = node.Host, Port = node.Port }
                : Fail(key, ErrorCode.CoordinatorNotAvailable, $"Broker {broker} cannot be reached through listener {listener.Name}.");
        }
        catch (Exception exception)
        {
            return Fail(key, services.Explain(exception, Asked.Coordinator, "FindCoordinator", key), exception.Message);
        }
    }

    private static FindCoordinatorResponse.Coordinator Fail(string key, ErrorCode error, string message) => new()
    {
        Key = key, NodeId = -1, Host = "", Port = -1, ErrorCode = error, ErrorMessage = message,
    };
}
