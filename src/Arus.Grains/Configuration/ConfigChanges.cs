using System.Globalization;

namespace Arus.Grains;

/// <summary>Applies configuration changes to the keys of a resource: all or none, by the rules of Kafka's controller. Pure.</summary>
internal static class ConfigChanges
{
    /// <summary>The keys after the changes; <paramref name="own"/> is left as it is.</summary>
    /// <param name="find">The definition of a key; an exception when there is no such key, or it cannot be changed.</param>
    /// <param name="inherited">The value of a key that is not set, to which a list is appended.</param>
    /// <param name="refusal">The code for a bad value of a key; null for <see cref="ErrorCode.InvalidConfig"/>.</param>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidRequest"/> where a key is named twice or has no value, otherwise what
    /// <paramref name="find"/> and <paramref name="refusal"/> say. All name the key.
    /// </exception>
    public static Dictionary<string, string> Apply(
        IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes, Func<string, ConfigDefinition> find,
        Func<ConfigDefinition, string?> inherited, Func<string, ErrorCode>? refusal = null)
    {
        CheckKeys(changes);
        var result = new Dictionary<string, string>(own);
        foreach (ConfigChange change in changes)
        {
            if (change.Operation == ConfigOperation.Delete)
            {
                result.Remove(change.Key);
                continue;
            }

            ConfigDefinition key = find(change.Key);
            string value = change.Operation == ConfigOperation.Set
                ? change.Value! : EditList(key, change, own.GetValueOrDefault(key.Name) ?? inherited(key) ?? "");
            if (key.Validate(value) is { } fault)
                throw new ArusException(refusal?.Invoke(key.Name) ?? ErrorCode.InvalidConfig, fault);

            result[change.Key] = key.Normalize(value);
        }

        return result;
    }

    /// <summary>No key is named twice, and every key that is set has a value.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidRequest"/> names the key.</exception>
    public static void CheckKeys(IReadOnlyList<ConfigChange> changes)
    {
        CheckNames(changes.Select(change => change.Key));
        foreach (ConfigChange change in changes)
        {
            if (change.Operation != ConfigOperation.Delete && change.Value is null)
                throw new ArusException(ErrorCode.InvalidRequest, $"{change.Key} is given no value.");
        }
    }

    /// <summary>No key is named twice.</summary>
    /// <inheritdoc cref="CheckKeys" path="/exception"/>
    public static void CheckNames(IEnumerable<string> keys)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string key in keys)
        {
            if (!seen.Add(key))
                throw new ArusException(ErrorCode.InvalidRequest, $"{key} is changed twice.");
        }
    }

    /// <summary>Only lists are appended to and subtracted from.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidConfig"/> names the key.</exception>
    public static void CheckList(ConfigChange change, ConfigDefinition? key)
    {
        if (change.Operation is ConfigOperation.Append or ConfigOperation.Subtract && key?.Type != ConfigType.List)
            throw Invalid($"{change.Key} is not a list; {change.Operation.ToString().ToLowerInvariant()} is for lists only.");
    }

    public static ArusException Invalid(string message) => new(ErrorCode.InvalidConfig, message);

    private static string EditList(ConfigDefinition key, ConfigChange change, string present)
    {
        CheckList(change, key);
        string[] before = ConfigText.SplitList(present);
        string[] items = change.Value!.Split(',', StringSplitOptions.TrimEntries); // An empty one is refused afterwards.
        return string.Join(',', change.Operation == ConfigOperation.Append ? before.Union(items) : before.Except(items));
    }
}

/// <summary>Applies configuration changes to a topic's keys. Pure.</summary>
internal static class TopicConfigChanges
{
    /// <inheritdoc cref="ConfigChanges.Apply"/>
    public static Dictionary<string, string> Apply(
        IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes, BrokerConfig broker)
    {
        Dictionary<string, string> result = ConfigChanges.Apply(
            own, changes, name => TopicConfigs.Find(name) ?? throw ConfigChanges.Invalid(TopicConfigs.Validate(name, null)!),
            key => TopicConfig.Describe(key, own, broker).Value);
        TopicConfig config = TopicConfig.Resolve(result, broker);
        return config.MinCompactionLagMs <= config.MaxCompactionLagMs
            ? result
            : throw ConfigChanges.Invalid(
                $"{TopicConfigs.MinCompactionLagMs}={config.MinCompactionLagMs} is above " +
                $"{TopicConfigs.MaxCompactionLagMs}={config.MaxCompactionLagMs}.");
    }

    /// <summary>
    /// Changes the keys of a topic that exists. Where its records are kept stays as it is, also when all keys are replaced by others.
    /// </summary>
    /// <inheritdoc cref="ConfigChanges.Apply"/>
    public static Dictionary<string, string> Alter(
        IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes, BrokerConfig broker)
    {
        Dictionary<string, string> result = Apply(own, changes, broker);
        if (own.TryGetValue(TopicConfigs.LogType, out string? logType))
            result.TryAdd(TopicConfigs.LogType, logType);

        return TopicConfig.Resolve(result, broker).LogType == TopicConfig.Resolve(own, broker).LogType
            ? result
            : throw ConfigChanges.Invalid($"{TopicConfigs.LogType} can be set only when the topic is created.");
    }

    /// <summary>Checks the keys of a new topic.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidConfig"/> names the key.</exception>
    public static Dictionary<string, string> Check(IReadOnlyDictionary<string, string> configs, BrokerConfig broker) =>
        configs.FirstOrDefault(pair => pair.Value is null).Key is { } empty
            ? throw ConfigChanges.Invalid($"{empty} is given no value.")
            : Apply(
                new Dictionary<string, string>(),
                [.. configs.Select(pair => new ConfigChange(pair.Key, ConfigOperation.Set, pair.Value))],
                broker);
}

/// <summary>Applies configuration changes to brokers, groups and client metrics, with the error codes of Kafka. Pure.</summary>
internal static class DynamicConfigChanges
{
    /// <inheritdoc cref="ConfigChanges.Apply"/>
    public static Dictionary<string, string> Apply(
        ConfigResourceType type, string name, IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes,
        BrokerConfig broker)
    {
        switch (type)
        {
            case ConfigResourceType.Broker:
                Dictionary<string, string> result = ConfigChanges.Apply(
                    own, changes, key => FindDynamic(key, forAll: name.Length == 0), key => broker[key.Name].Value,
                    _ => ErrorCode.InvalidRequest);
                return name.Length == 0 || result.Keys.FirstOrDefault(IsForAllOnly) is not { } wrong
                    ? result : throw ConfigChanges.Invalid($"{wrong} can be changed for all brokers at once only.");
            case ConfigResourceType.Group:
                Dictionary<string, string> group = ConfigChanges.Apply(
                    own, changes,
                    key => ConfigTable.Groups.Find(key) ?? throw ConfigChanges.Invalid($"{key} is not a group configuration key."),
                    key => key.BrokerKey is { } brokerKey ? broker[brokerKey].Value : key.Default);
                foreach ((string key, string value) in group)
                    CheckRange(key, value, broker);

                return group;
            default:
                return ConfigChanges.Apply(
                    own, changes,
                    key => ConfigTable.ClientMetrics.Find(key)
                        ?? throw new ArusException(ErrorCode.InvalidRequest, $"{key} is not a configuration key of client metrics."),
                    key => key.Default,
                    key => key == "match" ? ErrorCode.InvalidConfig : ErrorCode.InvalidRequest);
        }
    }

    private static ConfigDefinition FindDynamic(string name, bool forAll)
    {
        ConfigDefinition key = BrokerConfigs.Find(name) ?? throw ConfigChanges.Invalid($"{name} is not a broker configuration key.");
        string? fault = key.Scope switch
        {
            ConfigScope.ReadOnly => "is read when a broker starts; set it in the broker's settings and start it anew",
            ConfigScope.Listener when !name.StartsWith(BrokerConfigs.ListenerPrefix, StringComparison.Ordinal) =>
                $"can be changed for a listener only: {BrokerConfigs.ListenerPrefix}<listener>.{name}",
            ConfigScope.Broker or ConfigScope.Listener when forAll => "can be changed for a single broker only",
            _ => null,
        };
        if (fault is not null)
            throw new ArusException(ErrorCode.InvalidRequest, $"{name} {fault}.");

        return key;
    }

    private static bool IsForAllOnly(string name) => BrokerConfigs.Find(name) is { Scope: ConfigScope.ClusterOnly };

    /// <summary>
    /// The range in which a group's value must lie is configured for brokers: of <c>share.session.timeout.ms</c> by
    /// <c>group.share.min.session.timeout.ms</c> and <c>group.share.max.session.timeout.ms</c>.
    /// </summary>
    private static void CheckRange(string key, string value, BrokerConfig broker)
    {
        int dot = key.IndexOf('.');
        string kind = key[..dot];
        string limited = key[(dot + 1)..].Replace("num.", "", StringComparison.Ordinal);
        if (!long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
            return;

        Check($"group.{kind}.min.{limited}", (at, least) => at >= least);
        Check($"group.{kind}.max.{limited}", (at, most) => at <= most);

        void Check(string limit, Func<long, long, bool> isWithin)
        {
            if (BrokerConfigs.Find(limit) is not null && !isWithin(number, broker.GetLong(limit)))
                throw ConfigChanges.Invalid($"{key}={value} is beyond {limit}={broker.GetLong(limit)}.");
        }
    }
}
