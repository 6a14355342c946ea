using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Changes the configuration of topics, each by itself.</summary>
internal abstract class TopicConfigHandler<TRequest>(IGrainFactory grains, TopicCache topicCache)
    : ApiHandler<TRequest>(ApiScope.Controller)
    where TRequest : IApiMessage<TRequest>
{
    /// <returns>What went wrong, if anything did.</returns>
    protected Task<(ErrorCode Error, string? Message)> AlterAsync(
        sbyte type, string name, bool validateOnly, KafkaRequestContext context,
        Func<TopicDescription, IEnumerable<ConfigChange>> changes) => context.TryAsync(name, async () =>
        {
            TopicDescription topic = type switch
            {
                ConfigResource.Topic => await ConfigResource.FindTopicAsync(topicCache, name),
                ConfigResource.Broker => throw new ArusException(
                    ErrorCode.InvalidRequest,
                    $"The configuration of broker '{name}' is read at its start; change its configuration file and start it anew."),
                _ => throw ConfigResource.UnknownType(type),
            };
            await grains.GetGrain<ITopicGrain>(topic.Name).AlterConfigsAsync([.. changes(topic)], validateOnly);
            topicCache.Invalidate(topic.Name);
        });
}

/// <summary>
/// Replaces a topic's whole configuration: keys that are not named get their defaults. Clients prefer
/// <see cref="IncrementalAlterConfigsHandler"/>.
/// </summary>
internal sealed class AlterConfigsHandler(IGrainFactory grains, TopicCache topicCache)
    : TopicConfigHandler<AlterConfigsRequest>(grains, topicCache)
{
    protected override async Task<IApiMessage?> HandleAsync(AlterConfigsRequest request, KafkaRequestContext context) =>
        new AlterConfigsResponse
        {
            Responses = await GrainCalls.MapAsync(request.Resources, async resource =>
            {
                (sbyte type, string name) = (resource.ResourceType, resource.ResourceName);
                (ErrorCode error, string? message) = await AlterAsync(type, name, request.ValidateOnly, context, topic =>
                [
                    .. resource.Configs.Select(config => new ConfigChange(config.Name, ConfigOperation.Set, config.Value)),
                    .. topic.Configs.Keys.Except(resource.Configs.Select(config => config.Name))
                        .Select(key => new ConfigChange(key, ConfigOperation.Delete, null)),
                ]);
                return new AlterConfigsResponse.AlterConfigsResourceResponse
                {
                    ResourceType = type, ResourceName = name, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };
}

/// <summary>Changes single configuration keys of topics (KIP-339).</summary>
internal sealed class IncrementalAlterConfigsHandler(IGrainFactory grains, TopicCache topicCache)
    : TopicConfigHandler<IncrementalAlterConfigsRequest>(grains, topicCache)
{
    protected override async Task<IApiMessage?> HandleAsync(IncrementalAlterConfigsRequest request, KafkaRequestContext context) =>
        new IncrementalAlterConfigsResponse
        {
            Responses = await GrainCalls.MapAsync(request.Resources, async resource =>
            {
                (sbyte type, string name) = (resource.ResourceType, resource.ResourceName);
                (ErrorCode error, string? message) = await AlterAsync(
                    type, name, request.ValidateOnly, context, _ => resource.Configs.Select(ToChange));
                return new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
                {
                    ResourceType = type, ResourceName = name, ErrorCode = error, ErrorMessage = message,
                };
            }),
        };

    private static ConfigChange ToChange(IncrementalAlterConfigsRequest.AlterableConfig config)
    {
        var operation = (ConfigOperation)config.ConfigOperation;
        return Enum.IsDefined(operation)
            ? new ConfigChange(config.Name, operation, operation == ConfigOperation.Delete ? null : config.Value)
            : throw new ArusException(
                ErrorCode.InvalidRequest, $"{config.Name}: there is no configuration operation {config.ConfigOperation}.");
    }
}
