using System.Collections.Frozen;
using System.Globalization;
using Arus.Grains;
using Arus.Protocol;
using Description = Arus.Protocol.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Arus.Kafka;

/// <summary>Describes the configuration of topics and of this broker.</summary>
internal sealed class DescribeConfigsHandler(LocalBroker broker, TopicCache topicCache)
    : ApiHandler<DescribeConfigsRequest>(ApiScope.Controller)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeConfigsRequest request, KafkaRequestContext context) =>
        new DescribeConfigsResponse
        {
            Results = await GrainCalls.MapAsync(request.Resources, async resource =>
            {
                Description[] configs = [];
                (ErrorCode error, string? message) = await context.TryAsync(
                    resource.ResourceName, async () => configs = await DescribeAsync(resource, request));
                return new DescribeConfigsResponse.DescribeConfigsResult
                {
                    ResourceType = resource.ResourceType, ResourceName = resource.ResourceName, Configs = configs,
                    ErrorCode = error, ErrorMessage = message,
                };
            }, context.Gone),
        };

    private async Task<Description[]> DescribeAsync(
        DescribeConfigsRequest.DescribeConfigsResource resource, DescribeConfigsRequest request)
    {
        string name = resource.ResourceName;
        switch (resource.ResourceType)
        {
            case ConfigResource.Topic:
                TopicDescription topic = await ConfigResource.FindTopicAsync(topicCache, name);
                return [.. Requested(TopicConfigs.All).Select(key => Describe(
                    key, TopicConfig.Describe(key, topic.Configs, broker.Config), key.BrokerKey ?? key.Name,
                    TopicConfig.Describe(key, FrozenDictionary<string, string>.Empty, broker.Config), readOnly: false, request))];
            case ConfigResource.Broker when name.Length == 0:
                // The cluster-wide dynamic configuration: there is none.
                return [];
            case ConfigResource.Broker
                when !int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id != broker.BrokerId:
                throw new ArusException(
                    ErrorCode.InvalidRequest, $"This is broker {broker.BrokerId}; ask broker '{name}' for its configuration.");
            case ConfigResource.Broker:
                return [.. Requested(BrokerConfigs.All).Select(key => Describe(
                    key, broker.Config[key.Name], key.Name, BrokerConfig.Default[key.Name], readOnly: true, request))];
            default:
                throw ConfigResource.UnknownType(resource.ResourceType);
        }

        IEnumerable<ConfigDefinition> Requested(IReadOnlyList<ConfigDefinition> all) =>
            resource.ConfigurationKeys is { } keys ? all.Where(key => keys.Contains(key.Name)) : all;
    }

    /// <param name="inherited">What the value is when the resource has none of its own, under <paramref name="inheritedKey"/>.</param>
    private static Description Describe(
        ConfigDefinition key, ConfigValue value, string inheritedKey, ConfigValue inherited, bool readOnly, DescribeConfigsRequest request)
    {
        bool sensitive = key.Type == ConfigType.Password;
        return new()
        {
            Name = key.Name,
            Value = sensitive ? null : value.Value,
            ReadOnly = readOnly,
            IsDefault = value.Source == ConfigSource.Default,
            ConfigSource = (sbyte)value.Source,
            IsSensitive = sensitive,
            ConfigType = (sbyte)key.Type,
            Documentation = request.IncludeDocumentation ? key.Documentation : null,
            Synonyms = !request.IncludeSynonyms ? []
                : value == inherited ? [Synonym(inheritedKey, inherited)]
                : [Synonym(key.Name, value), Synonym(inheritedKey, inherited)],
        };
    }

    private static DescribeConfigsResponse.DescribeConfigsSynonym Synonym(string name, ConfigValue value) => new()
    {
        Name = name, Value = value.Value, Source = (sbyte)value.Source,
    };
}
