using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Describes the configuration of topics and of this broker.</summary>
internal sealed class DescribeConfigsHandler(GatewayServices services) : ApiHandler<DescribeConfigsRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(DescribeConfigsRequest request, RequestContext context) => new DescribeConfigsResponse
    {
        Results = await Parallel.MapAsync(request.Resources, resource => DescribeAsync(resource, request)),
    };

    private async Task<DescribeConfigsResponse.DescribeConfigsResult> DescribeAsync(
        DescribeConfigsRequest.DescribeConfigsResource resource, DescribeConfigsRequest request)
    {
        var result = new DescribeConfigsResponse.DescribeConfigsResult { ResourceType = resource.ResourceType, ResourceName = resource.ResourceName };
        try
        {
            switch (resource.ResourceType)
            {
                case ConfigResource.Topic:
                    TopicDescription topic = await ConfigResource.FindTopicAsync(services, resource.ResourceName);
                    result.Configs = [.. Wanted(TopicConfigs.All, resource).Select(definition => DescribeTopic(definition, topic, request))];
                    break;
                case ConfigResource.Broker when resource.ResourceName.Length == 0:
                    // The cluster-wide dynamic configuration: there is none.
                    break;
                case ConfigResource.Broker:
                    ConfigResource.RequireThisBroker(services, resource.ResourceName);
                    result.Configs = [.. Wanted(BrokerConfigs.All, resource).Select(definition => DescribeBroker(definition, request))];
                    break;
                default:
                    throw new ArusException(ErrorCode.InvalidRequest, $"Resources of type {resource.ResourceType} have no configuration here.");
            }
        }
        catch (Exception exception)
        {
            result.ErrorCode = services.Explain(exception, Asked.Controller, "DescribeConfigs", resource.ResourceName);
            result.ErrorMessage = exception.Message;
        }

        return result;
    }

    private static IEnumerable<ConfigDefinition> Wanted(IReadOnlyList<ConfigDefinition> all, DescribeConfigsRequest.DescribeConfigsResource resource) =>
        resource.ConfigurationKeys is { } keys ? all.Where(definition => keys.Contains(definition.Name)) : all;

    private DescribeConfigsResponse.DescribeConfigsResourceResult DescribeTopic(
        ConfigDefinition definition, TopicDescription topic, DescribeConfigsRequest request)
    {
        BrokerConfig broker = services.Broker.Config;
        ConfigValue value = TopicConfig.Describe(definition, topic.Configs, broker);
        var result = Describe(definition, value, readOnly: false, request);
        if (request.IncludeSynonyms)
        {
            var synonyms = new List<DescribeConfigsResponse.DescribeConfigsSynonym>();
            if (topic.Configs.TryGetValue(definition.Name, out string? own))
            {
                synonyms.Add(Synonym(definition.Name, own, ConfigSource.DynamicTopic));
            }

            if (definition.BrokerKey is { } key)
            {
                ConfigValue inherited = broker.Effective(key);
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

    private DescribeConfigsResponse.DescribeConfigsResourceResult DescribeBroker(ConfigDefinition definition, DescribeConfigsRequest request)
    {
        ConfigValue value = services.Broker.Config[definition.Name];
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
