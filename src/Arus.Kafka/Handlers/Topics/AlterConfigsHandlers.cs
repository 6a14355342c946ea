using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Replaces the whole configuration of resources: keys that are not named get their defaults. Clients prefer
/// <see cref="IncrementalAlterConfigsHandler"/>.
/// </summary>
internal sealed class AlterConfigsHandler(IGrainFactory grains, LocalBroker broker, TopicCache topicCache)
    : ApiHandler<AlterConfigsRequest>(ApiScope.Controller, subject: "configuration")
{
    protected override async Task<IApiMessage?> HandleAsync(AlterConfigsRequest request, KafkaRequestContext context)
    {
        AlterConfigsResponse response = await grains.GetGrain<IBrokerGrain>(broker.BrokerId).AlterConfigsAsync(request);
        foreach (AlterConfigsResponse.AlterConfigsResourceResponse altered in response.Responses)
            topicCache.Invalidate(altered.ResourceName);

        return response;
    }
}

/// <summary>Changes single configuration keys (KIP-339).</summary>
internal sealed class IncrementalAlterConfigsHandler(IGrainFactory grains, LocalBroker broker, TopicCache topicCache)
    : ApiHandler<IncrementalAlterConfigsRequest>(ApiScope.Controller, subject: "configuration")
{
    protected override async Task<IApiMessage?> HandleAsync(IncrementalAlterConfigsRequest request, KafkaRequestContext context)
    {
        IncrementalAlterConfigsResponse response =
            await grains.GetGrain<IBrokerGrain>(broker.BrokerId).IncrementalAlterConfigsAsync(request);
        foreach (IncrementalAlterConfigsResponse.AlterConfigsResourceResponse altered in response.Responses)
            topicCache.Invalidate(altered.ResourceName);

        return response;
    }
}

/// <summary>Lists what has configuration of its own.</summary>
internal sealed class ListConfigResourcesHandler(IGrainFactory grains, LocalBroker broker)
    : ApiHandler<ListConfigResourcesRequest>(ApiScope.Controller, "configuration")
{
    protected override async Task<IApiMessage?> HandleAsync(ListConfigResourcesRequest request, KafkaRequestContext context)
    {
        // Version 0 asks for the subscriptions of client metrics.
        request.ResourceTypes = context.Version == 0 ? [(sbyte)ConfigResourceType.ClientMetrics] : request.ResourceTypes;
        return await grains.GetGrain<IBrokerGrain>(broker.BrokerId).ListConfigResourcesAsync(request);
    }

    protected override IApiMessage Fail(ListConfigResourcesRequest request, ErrorCode error, string message) =>
        new ListConfigResourcesResponse { ErrorCode = error };
}
