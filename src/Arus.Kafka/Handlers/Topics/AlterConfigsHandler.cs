using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Replaces a topic's whole configuration: keys that are not named get their defaults. Clients prefer
/// <see cref="IncrementalAlterConfigsHandler"/>.
/// </summary>
internal sealed class AlterConfigsHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<AlterConfigsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(AlterConfigsRequest request, KafkaRequestContext context) =>
        new AlterConfigsResponse
        {
            Responses = await GrainCalls.MapAsync(request.Resources, async resource =>
            {
                (ErrorCode error, string? message) = await context.TryAsync(
                    resource.ResourceName, () => AlterAsync(resource, request.ValidateOnly));
                return new AlterConfigsResponse.AlterConfigsResourceResponse
                {
                    ResourceType = resource.ResourceType, ResourceName = resource.ResourceName, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };

    private async Task AlterAsync(AlterConfigsRequest.AlterConfigsResource resource, bool validateOnly)
    {
        TopicDescription topic = await ConfigResource.FindChangeableTopicAsync(topicCache, resource.ResourceType, resource.ResourceName);
        IEnumerable<ConfigChange> set = resource.Configs.Select(config => new ConfigChange(config.Name, ConfigOperation.Set, config.Value));
        IEnumerable<ConfigChange> reset = topic.Configs.Keys
            .Where(key => !Array.Exists(resource.Configs, config => config.Name == key))
            .Select(key => new ConfigChange(key, ConfigOperation.Delete, null));
        await grains.GetGrain<ITopicGrain>(topic.Name).AlterConfigsAsync([.. set, .. reset], validateOnly);
        topicCache.Invalidate(topic.Name);
    }
}
