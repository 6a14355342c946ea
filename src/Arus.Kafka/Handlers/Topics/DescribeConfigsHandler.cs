using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes the configuration of topics and of this broker.</summary>
internal sealed class DescribeConfigsHandler(ILocalBroker broker, TopicCache topicCache)
    : ApiHandler<DescribeConfigsRequest>(ApiScope.Controller, RequestOrdering.Concurrent)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeConfigsRequest request, KafkaRequestContext context) =>
        new DescribeConfigsResponse
        {
            Results = await GrainCalls.MapAsync(request.Resources, resource => context.TryAsync(
                resource.ResourceName,
                async () => Result(resource, await DescribeAsync(resource, request)),
                (error, message) => Result(resource, [], error, message))),
        };

    private static DescribeConfigsResponse.DescribeConfigsResult Result(
        DescribeConfigsRequest.DescribeConfigsResource resource, DescribeConfigsResponse.DescribeConfigsResourceResult[] configs,
        ErrorCode error = ErrorCode.None, string? message = null) => new()
        {
            ResourceType = resource.ResourceType,
            ResourceName = resource.ResourceName,
            Configs = configs,
            ErrorCode = error,
            ErrorMessage = message,
        };

    private async Task<DescribeConfigsResponse.DescribeConfigsResourceResult[]> DescribeAsync(
        DescribeConfigsRequest.DescribeConfigsResource resource, DescribeConfigsRequest request)
    {
        switch (resource.ResourceType)
        {
            case ConfigResource.Topic:
                TopicDescription topic = await ConfigResource.FindTopicAsync(topicCache, resource.ResourceName);
                return [.. Requested(TopicConfigs.All, resource).Select(definition => DescribeTopic(definition, topic, request))];
            case ConfigResource.Broker when resource.ResourceName.Length == 0:
                // The cluster-wide dynamic configuration: there is none.
                return [];
            case ConfigResource.Broker:
                ConfigResource.RequireThisBroker(broker, resource.ResourceName);
                return [.. Requested(BrokerConfigs.All, resource).Select(definition => DescribeBroker(definition, request))];
            default:
                throw ConfigResource.UnknownType(resource.ResourceType);
        }
    }

    private static IEnumerable<ConfigDefinition> Requested(
        IReadOnlyList<ConfigDefinition> all, DescribeConfigsRequest.DescribeConfigsResource resource) =>
        resource.ConfigurationKeys is { } keys ? all.Where(definition => keys.Contains(definition.Name)) : all;

    private DescribeConfigsResponse.DescribeConfigsResourceResult DescribeTopic(
        ConfigDefinition definition, TopicDescription topic, DescribeConfigsRequest request)
    {
        ConfigValue value = TopicConfig.Describe(definition, topic.Configs, broker.Config);
        var result = Describe(definition, value, readOnly: false, request);
        if (request.IncludeSynonyms)
        {
            var synonyms = new List<DescribeConfigsResponse.DescribeConfigsSynonym>();
            if (topic.Configs.TryGetValue(definition.Name, out string? own))
                synonyms.Add(Synonym(definition.Name, own, ConfigSource.DynamicTopic));

            if (definition.BrokerKey is { } key)
            {
                ConfigValue inherited = broker.Config.Effective(key);
                synonyms.Add(Synonym(key, inherited.Value, inherited.Source));
            }
            else
            {
                synonyms.Add(Synonym(definition.Name, definition.Default, ConfigSource.Default));
            }

            result.Synonyms = [.. synonyms];
        }

        return result;
    }

    private DescribeConfigsResponse.DescribeConfigsResourceResult DescribeBroker(
        ConfigDefinition definition, DescribeConfigsRequest request)
    {
        ConfigValue value = broker.Config[definition.Name];
        var result = Describe(definition, value, readOnly: true, request);
        if (request.IncludeSynonyms)
        {
            result.Synonyms = value.Source == ConfigSource.Default
                ? [Synonym(definition.Name, value.Value, value.Source)]
                : [Synonym(definition.Name, value.Value, value.Source), Synonym(definition.Name, definition.Default, ConfigSource.Default)];
        }

        return result;
    }

    private static DescribeConfigsResponse.DescribeConfigsResourceResult Describe(
        ConfigDefinition definition, ConfigValue value, bool readOnly, DescribeConfigsRequest request)
    {
        bool sensitive = definition.Type == ConfigType.Password;
        return new()
        {
            Name = definition.Name,
            Value = sensitive ? null : value.Value,
            ReadOnly = readOnly,
            IsDefault = value.Source == ConfigSource.Default,
            ConfigSource = (sbyte)value.Source,
            IsSensitive = sensitive,
            ConfigType = (sbyte)definition.Type,
            Documentation = request.IncludeDocumentation ? definition.Documentation : null,
        };
    }

    private static DescribeConfigsResponse.DescribeConfigsSynonym Synonym(string name, string? value, ConfigSource source) => new()
    {
        Name = name, Value = value, Source = (sbyte)source,
    };
}
