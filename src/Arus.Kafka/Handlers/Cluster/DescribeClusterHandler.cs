using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes the brokers of the cluster.</summary>
internal sealed class DescribeClusterHandler(ClusterCache clusterCache)
    : ApiHandler<DescribeClusterRequest>(ApiScope.Metadata, "the cluster")
{
    private const sbyte Brokers = 1;
    private const sbyte Controllers = 2;

    protected override async Task<IApiMessage?> HandleAsync(DescribeClusterRequest request, KafkaRequestContext context)
    {
        if (request.EndpointType != Brokers)
        {
            return Fail(
                request, request.EndpointType == Controllers ? ErrorCode.MismatchedEndpointType : ErrorCode.UnsupportedEndpointType,
                $"End points of type {request.EndpointType} are not served; brokers are, with type {Brokers}.");
        }

        ClusterView cluster = await clusterCache.ViewAsync(context.Listener);
        return new DescribeClusterResponse
        {
            ClusterId = cluster.ClusterId,
            ControllerId = cluster.ControllerId,
            ClusterAuthorizedOperations =
                request.IncludeClusterAuthorizedOperations ? AuthorizedOperations.Cluster : AuthorizedOperations.NotRequested,
            Brokers = Array.ConvertAll(cluster.Nodes, node => new DescribeClusterResponse.DescribeClusterBroker
            {
                BrokerId = node.Id, Host = node.Host, Port = node.Port, Rack = node.Rack,
            }),
        };
    }

    protected override IApiMessage Fail(DescribeClusterRequest request, ErrorCode error, string message) =>
        new DescribeClusterResponse { ErrorCode = error, ErrorMessage = message };
}
