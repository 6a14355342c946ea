using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Changes single configuration keys of topics (KIP-339).</summary>
internal sealed class IncrementalAlterConfigsHandler(GatewayServices services) : ApiHandler<IncrementalAlterConfigsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(IncrementalAlterConfigsRequest request, RequestContext context) =>
        new IncrementalAlterConfigsResponse
        {
            Responses = await Parallel.MapAsync(request.Resources, resource => AlterAsync(resource, request.ValidateOnly)),
        };

    private async Task<IncrementalAlterConfigsResponse.AlterConfigsResourceResponse> AlterAsync(
        IncrementalAlterConfigsRequest.AlterConfigsResource resource, bool validateOnly)
    {
        var result = new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
        {
            ResourceType = resource.ResourceType, ResourceName = resource.ResourceName,
        };
        try
        {
            if (resource.ResourceType != ConfigResource.Topic)
            {
                ConfigResource.RefuseChange(resource.ResourceType, resource.ResourceName);
            }

            TopicDescription topic = await ConfigResource.FindTopicAsync(services, resource.ResourceName);
            await services.Grains.GetGrain<ITopicGrain>(topic.Name).AlterConfigsAsync(Array.ConvertAll(resource.Configs, ToChange), validateOnly);
            services.Topics.Invalidate(topic.Name);
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Controller, "IncrementalAlterConfigs", resource.ResourceName);
            result.ErrorMessage = exception.Message;
        }

        return result;
    }

    private static ConfigChange ToChange(IncrementalAlterConfigsRequest.AlterableConfig config)
    {
        var operation = (ConfigOperation)config.ConfigOperation;
        return Enum.IsDefined(operation)
            ? new ConfigChange(config.Name, operation, operation == ConfigOperation.Delete ? null : config.Value)
            : throw new ArusException(ErrorCode.InvalidRequest, $"{config.Name}: there is no configuration operation {config.ConfigOperation}.");
    }
}
