using System.Globalization;
using Arus.Protocol;
using Described = Arus.Protocol.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Arus.Grains;

/// <summary>What a broker tells of configuration: its own, and that of topics, groups and client metrics. Thread-safe.</summary>
internal sealed class ConfigDescriptions(LocalBroker broker, LoggerLevels loggers, IGrainFactory grains)
{
    /// <exception cref="ArusException">There is no such resource, or this broker does not know it.</exception>
    public async Task<Described[]> DescribeAsync(DescribeConfigsRequest.DescribeConfigsResource resource, DescribeConfigsRequest request)
    {
        var type = (ConfigResourceType)resource.ResourceType;
        string name = resource.ResourceName;
        switch (type)
        {
            case ConfigResourceType.Topic:
                Dictionary<string, string> set = (await FindTopicAsync(name)).Configs;
                return Describe(
                    [.. TopicConfigs.All, .. Known(set.Keys, TopicConfigs.Find).Where(key => key.IsInternal)],
                    key => (TopicConfig.Describe(key, set, broker.Config), TopicConfig.Synonyms(key, set, broker.Config)));
            case ConfigResourceType.Broker when name.Length == 0:
                await RefreshAsync();
                IReadOnlyDictionary<string, string> all = broker.Dynamic.Of(type, name);
                return Describe(Known(all.Keys, BrokerConfigs.Find), key => OwnOnly(key, all, ConfigSource.DynamicDefaultBroker));
            case ConfigResourceType.Broker:
                RequireThisBroker(name);
                await RefreshAsync();
                BrokerConfig config = broker.Config;
                return Describe(
                    [
                        .. BrokerConfigs.All,
                        .. Known(broker.Dynamic.Of(type, name).Keys, BrokerConfigs.Find)
                            .Where(key => key.IsInternal || IsOfListener(key.Name)),
                    ],
                    key => (config[key.Name], config.Synonyms(key.Name)));
            case ConfigResourceType.BrokerLogger:
                RequireThisBroker(name);
                return [.. loggers.All.Where(logger => IsRequested(logger.Name)).Select(logger => new Described
                {
                    Name = logger.Name, Value = logger.Level, ConfigSource = (sbyte)ConfigSource.DynamicBrokerLogger, Documentation = "",
                })];
            case ConfigResourceType.Group:
                RequireName(type, name);
                await RefreshAsync();
                IReadOnlyDictionary<string, string> group = broker.Dynamic.Of(type, name);
                return Describe(ConfigTable.Groups.All, key => GroupValue(key, group));
            case ConfigResourceType.ClientMetrics:
                RequireName(type, name);
                await RefreshAsync();
                IReadOnlyDictionary<string, string> own = broker.Dynamic.Of(type, name);
                return Describe(ConfigTable.ClientMetrics.All, key => OwnOnly(key, own, ConfigSource.DynamicClientMetrics));
            default:
                throw UnknownType(resource.ResourceType);
        }

        bool IsRequested(string key) => resource.ConfigurationKeys is not { Length: > 0 } keys || keys.Contains(key);

        Described[] Describe(
            IEnumerable<ConfigDefinition> all, Func<ConfigDefinition, (ConfigValue Value, IEnumerable<ConfigSynonym> Synonyms)> value) =>
            [.. all.Where(key => IsRequested(key.Name)).Select(key => ToResult(key, value(key), request))];
    }

    public async Task<ListConfigResourcesResponse> ListAsync(ListConfigResourcesRequest request)
    {
        sbyte[] types = request.ResourceTypes.Length > 0 ? request.ResourceTypes
            : [.. Enum.GetValues<ConfigResourceType>().Where(type => type != ConfigResourceType.Unknown).Select(type => (sbyte)type)];
        await RefreshAsync();
        var resources = new List<ListConfigResourcesResponse.ConfigResource>();
        foreach (sbyte type in types.Distinct())
        {
            IEnumerable<string>? names = (ConfigResourceType)type switch
            {
                ConfigResourceType.Topic => await ListTopicsAsync(),
                ConfigResourceType.Broker or ConfigResourceType.BrokerLogger =>
                    (await grains.GetGrain<IClusterGrain>(0).DescribeAsync()).Brokers.Select(known => $"{known.BrokerId}"),
                ConfigResourceType.Group or ConfigResourceType.ClientMetrics =>
                    broker.Dynamic.Resources.Where(known => (sbyte)known.Type == type).Select(known => known.Name),
                _ => null,
            };
            if (names is null)
                return new ListConfigResourcesResponse { ErrorCode = ErrorCode.UnsupportedVersion };

            resources.AddRange(names.Select(name => new ListConfigResourcesResponse.ConfigResource
            {
                ResourceType = type, ResourceName = name,
            }));
        }

        return new ListConfigResourcesResponse { ConfigResources = [.. resources] };
    }

    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidRequest"/>: it is another's name, or no number.</exception>
    public void RequireThisBroker(string name)
    {
        const int MaxDigits = 11;
        if (name.Length > MaxDigits || !int.TryParse(name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id)
            || id != broker.BrokerId)
        {
            throw new ArusException(
                ErrorCode.InvalidRequest, $"This is broker {broker.BrokerId}; ask broker '{name}' itself, if it is alive.");
        }
    }

    public static ArusException UnknownType(sbyte type) => new(ErrorCode.InvalidRequest, $"There are no resources of type {type}.");

    public static void RequireName(ConfigResourceType type, string name)
    {
        if (name.Length == 0)
            throw new ArusException(ErrorCode.InvalidRequest, $"A resource of type {type} needs a name.");
    }

    private static IEnumerable<ConfigDefinition> Known(IEnumerable<string> names, Func<string, ConfigDefinition?> find) =>
        names.Select(find).OfType<ConfigDefinition>();

    private static bool IsOfListener(string name) => name.StartsWith(BrokerConfigs.ListenerPrefix, StringComparison.Ordinal);

    private async Task<TopicDescription> FindTopicAsync(string name) =>
        (TopicName.Validate(name) is { IsOk: false } refusal ? throw new ArusException(refusal.Error, refusal.Message ?? name)
            : await grains.GetGrain<ITopicGrain>(name).DescribeAsync())
        ?? throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic {name}.");

    private async Task<IEnumerable<string>> ListTopicsAsync()
    {
        TopicListing[][] shards = await Task.WhenAll(Enumerable.Range(0, TopicCatalog.Shards)
            .Select(shard => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync()));
        return shards.SelectMany(topics => topics).Select(topic => topic.Name);
    }

    private async Task RefreshAsync() =>
        broker.Reconfigure(await grains.GetGrain<IConfigGrain>(0).DescribeAsync(broker.Dynamic.Version));

    private (ConfigValue, IEnumerable<ConfigSynonym>) GroupValue(ConfigDefinition key, IReadOnlyDictionary<string, string> own)
    {
        ConfigSynonym[] inherited = key.BrokerKey is { } brokerKey
            ? [.. broker.Config.Synonyms(brokerKey)]
            : [new ConfigSynonym(key.Name, new ConfigValue(key.Default, ConfigSource.Default, "default"))];
        if (!own.TryGetValue(key.Name, out string? set))
            return (inherited[0].Value, inherited);

        var value = new ConfigValue(set, ConfigSource.DynamicGroup, "group");
        return (value, inherited.Prepend(new ConfigSynonym(key.Name, value)));
    }

    private static (ConfigValue, IEnumerable<ConfigSynonym>) OwnOnly(
        ConfigDefinition key, IReadOnlyDictionary<string, string> own, ConfigSource source)
    {
        if (!own.TryGetValue(key.Name, out string? set))
            return (new ConfigValue(key.Default, ConfigSource.Default, "default"), []);

        var value = new ConfigValue(set, source, "dynamic configuration");
        return (value, [new ConfigSynonym(key.Name, value)]);
    }

    private static Described ToResult(
        ConfigDefinition key, (ConfigValue Value, IEnumerable<ConfigSynonym> Synonyms) described, DescribeConfigsRequest request) => new()
        {
            Name = key.Name,
            Value = key.IsSensitive ? null : described.Value.Value,
            ReadOnly = key.Scope == ConfigScope.ReadOnly,
            IsDefault = described.Value.Source == ConfigSource.Default,
            ConfigSource = (sbyte)described.Value.Source,
            IsSensitive = key.IsSensitive,
            ConfigType = (sbyte)key.Type,
            Documentation = request.IncludeDocumentation ? key.Documentation : null,
            Synonyms = !request.IncludeSynonyms ? [] : [.. described.Synonyms.Select(synonym =>
                new DescribeConfigsResponse.DescribeConfigsSynonym
                {
                    Name = synonym.Name, Value = key.IsSensitive ? null : synonym.Value.Value, Source = (sbyte)synonym.Value.Source,
                })],
        };
}
