namespace Arus.Grains;

/// <summary>Applies configuration changes to the keys of a resource: all or none, by the rules of Kafka's controller. Pure.</summary>
internal static class ConfigChanges
{
    /// <summary>The keys after the changes; <paramref name="own"/> is left as it is.</summary>
    /// <param name="find">The definition of a key; null when there is no such key.</param>
    /// <param name="inherited">The value of a key that is not set, to which a list is appended.</param>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidRequest"/> where a key is named twice or has no value, <see cref="ErrorCode.InvalidConfig"/> where the
    /// key or its value is wrong. Both name the key.
    /// </exception>
    public static Dictionary<string, string> Apply(
        IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes, Func<string, ConfigDefinition?> find,
        Func<ConfigDefinition, string?> inherited)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (ConfigChange change in changes)
        {
            if (!seen.Add(change.Key))
                throw new ArusException(ErrorCode.InvalidRequest, $"{change.Key} is changed twice.");

            if (change.Operation != ConfigOperation.Delete && change.Value is null)
                throw new ArusException(ErrorCode.InvalidRequest, $"{change.Key} is given no value.");
        }

        var result = new Dictionary<string, string>(own);
        foreach (ConfigChange change in changes)
        {
            if (change.Operation == ConfigOperation.Delete)
            {
                result.Remove(change.Key);
                continue;
            }

            ConfigDefinition key = find(change.Key) ?? throw Invalid($"{change.Key} is not a configuration key of this kind of resource");
            string value = change.Operation == ConfigOperation.Set
                ? change.Value! : EditList(key, change, own.GetValueOrDefault(key.Name) ?? inherited(key) ?? "");
            if (key.Validate(value) is { } fault)
                throw Invalid(fault);

            result[change.Key] = key.Normalize(value);
        }

        return result;
    }

    public static ArusException Invalid(string message) => new(ErrorCode.InvalidConfig, message);

    private static string EditList(ConfigDefinition key, ConfigChange change, string present)
    {
        if (key.Type != ConfigType.List)
            throw Invalid($"{key.Name} is not a list; {change.Operation.ToString().ToLowerInvariant()} is for lists only.");

        string[] before = ConfigText.SplitList(present);
        string[] items = ConfigText.SplitList(change.Value!);
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
            own, changes, TopicConfigs.Find, key => TopicConfig.Describe(key, own, broker).Value);
        TopicConfig config = TopicConfig.Resolve(result, broker);
        return config.MinCompactionLagMs <= config.MaxCompactionLagMs
            ? result
            : throw ConfigChanges.Invalid(
                $"{TopicConfigs.MinCompactionLagMs}={config.MinCompactionLagMs} is above " +
                $"{TopicConfigs.MaxCompactionLagMs}={config.MaxCompactionLagMs}.");
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
