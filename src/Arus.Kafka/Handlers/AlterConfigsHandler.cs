using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Replaces a topic's whole configuration: keys that are not named get their defaults. Clients prefer
/// <see cref="IncrementalAlterConfigsHandler"/>.
/// </summary>
internal sealed class AlterConfigsHandler(GatewayServices services) : ApiHandler<AlterConfigsRequest>
{
    protected override async Task<IApiMessage?> HandleAsync(AlterConfigsRequest request, RequestContext context) => new AlterConfigsResponse
    {
        Responses = await Parallel.MapAsync(request.Resources, resource => AlterAsync(resource, request.ValidateOnly)),
    };

    private async Task<AlterConfigsResponse.AlterConfigsResourceResponse> AlterAsync(AlterConfigsRequest.AlterConfigsResource resource, bool validateOnly)
    {
        var result = new AlterConfigsResponse.AlterConfigsResourceResponse { ResourceType = resource.ResourceType, ResourceName = resource.ResourceName };
        try
        {
            if (resource.ResourceType != ConfigResource.Topic)
            {
                ConfigResource.RefuseChange(resource.ResourceType, resource.ResourceName);
            }

            TopicDescription topic = await ConfigResource.FindTopicAsync(services, resource.ResourceName);
            var changes = new List<ConfigChange>();
            foreach (AlterConfigsRequest.AlterableConfig config in resource.Configs)
            {
                changes.Add(new ConfigChange(config.Name, ConfigOperation.Set, config.Value));
            }

            changes.AddRange(topic.Configs.Keys
                .Where(key => !Array.Exists(resource.Configs, config => config.Name == key))
                .Select(key => new ConfigChange(key, ConfigOperation.Delete, null)));
            await services.Grains.GetGrain<ITopicGrain>(topic.Name).AlterConfigsAsync([.. changes], validateOnly);
            services.Topics.Invalidate(topic.Name);
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Controller, "AlterConfigs", resource.ResourceName);
            result.ErrorMessage = exception.Message;
        }

        return result;
    }
}
