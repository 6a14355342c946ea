using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Changes single configuration keys of topics (KIP-339).</summary>
internal sealed class IncrementalAlterConfigsHandler(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<IncrementalAlterConfigsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(IncrementalAlterConfigsRequest request, KafkaRequestContext context) =>
        new IncrementalAlterConfigsResponse
        {
            Responses = await GrainCalls.MapAsync(request.Resources, async resource =>
            {
                (ErrorCode error, string? message) = await context.TryAsync(
                    resource.ResourceName, () => AlterAsync(resource, request.ValidateOnly));
                return new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
                {
                    ResourceType = resource.ResourceType, ResourceName = resource.ResourceName, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };

    private async Task AlterAsync(IncrementalAlterConfigsRequest.AlterConfigsResource resource, bool validateOnly)
    {
        TopicDescription topic = await ConfigResource.FindChangeableTopicAsync(topicCache, resource.ResourceType, resource.ResourceName);
        await grains.GetGrain<ITopicGrain>(topic.Name).AlterConfigsAsync(Array.ConvertAll(resource.Configs, ToChange), validateOnly);
        topicCache.Invalidate(topic.Name);
    }

    private static ConfigChange ToChange(IncrementalAlterConfigsRequest.AlterableConfig config)
    {
        var operation = (ConfigOperation)config.ConfigOperation;
        return Enum.IsDefined(operation)
            ? new ConfigChange(config.Name, operation, operation == ConfigOperation.Delete ? null : config.Value)
            : throw new ArusException(
                ErrorCode.InvalidRequest, $"{config.Name}: there is no configuration operation {config.ConfigOperation}.");
    }
}
