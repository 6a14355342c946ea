using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes the brokers of the cluster.</summary>
internal sealed class DescribeClusterHandler(GatewayServices services) : ApiHandler<DescribeClusterRequest>
{
    private const sbyte Brokers = 1;

    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(DescribeClusterRequest request, RequestContext context)
    {
        if (request.EndpointType != Brokers)
        {
            return new DescribeClusterResponse
            {
                ErrorCode = ErrorCode.InvalidRequest,
                ErrorMessage = $"End points of type {request.EndpointType} are not served; brokers are, with type {Brokers}.",
            };
        }

        try
        {
            ClusterView cluster = await services.ViewAsync(context.Listener);
            return new DescribeClusterResponse
            {
                ClusterId = cluster.ClusterId,
                ControllerId = cluster.ControllerId,
                ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations ? AuthorizedOperations.Cluster : AuthorizedOperations.NotAsked,
                Brokers = [.. cluster.Nodes.Select(node => new DescribeClusterResponse.DescribeClusterBroker
                {
                    BrokerId = node.Id, Host = node.Host, Port = node.Port, Rack = node.Rack,
                })],
            };
        }
        catch (Exception exception)
        {
            return new DescribeClusterResponse
            {
                ErrorCode = services.Explain(exception, Asked.Metadata, "DescribeCluster", "the cluster"), ErrorMessage = exception.Message,
            };
        }
    }
}
