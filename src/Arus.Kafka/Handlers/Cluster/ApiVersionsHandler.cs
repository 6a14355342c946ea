using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers which APIs and versions are served. No features are announced: clients switch behaviour on them.</summary>
internal sealed class ApiVersionsHandler(HandlerRegistry registry, ClusterCache clusterCache, LocalBroker broker)
    : ApiHandler<ApiVersionsRequest>(ApiScope.Metadata)
{
    /// <summary>KIP-511: a client whose version is not served learns which versions of this API are.</summary>
    public override IApiMessage AnswerUnservedVersion() => new ApiVersionsResponse
    {
        ErrorCode = ErrorCode.UnsupportedVersion,
        ApiKeys = Array.FindAll(registry.Versions, version => version.ApiKey == (short)ApiKey.ApiVersions),
    };

    protected override async Task<IApiMessage?> HandleAsync(ApiVersionsRequest request, KafkaRequestContext context)
    {
        bool valid = context.Version < 3 || (IsSoftwareName(request.ClientSoftwareName) && IsSoftwareName(request.ClientSoftwareVersion));
        ErrorCode error = !valid || request.ClusterId is null != (request.NodeId == -1) ? ErrorCode.InvalidRequest
            : request.ClusterId is { } clusterId && !await IsHereAsync(clusterId, request.NodeId, context) ? ErrorCode.RebootstrapRequired
            : ErrorCode.None;
        return new ApiVersionsResponse { ErrorCode = error, ApiKeys = error == ErrorCode.None ? registry.Versions : [] };
    }

    /// <summary>
    /// KIP-1242: whether a client that knows its cluster and this address from earlier still finds them here. Brokers may share one
    /// address. While it is not known who the brokers are, the client is taken at its word.
    /// </summary>
    private async Task<bool> IsHereAsync(string clusterId, int nodeId, KafkaRequestContext context)
    {
        ClusterView cluster = await context.TryAsync(
            "the cluster", async () => await clusterCache.ViewAsync(context.Listener), static (_, _) => ClusterView.Empty);
        return cluster.ClusterId.Length == 0 || (clusterId == cluster.ClusterId && (nodeId == broker.BrokerId
            || (cluster.Find(nodeId) is { } named && cluster.Find(broker.BrokerId) is { } own
                && (named.Host, named.Port) == (own.Host, own.Port))));
    }

    /// <summary>KIP-511: letters and digits, with dots and hyphens between them.</summary>
    private static bool IsSoftwareName(string text) =>
        text.Length > 0 && char.IsAsciiLetterOrDigit(text[0]) && char.IsAsciiLetterOrDigit(text[^1])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-');
}
