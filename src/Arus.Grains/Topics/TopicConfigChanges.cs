namespace Arus.Grains;

/// <summary>Applies configuration changes to a topic's keys: all or none. Pure.</summary>
internal static class TopicConfigChanges
{
    /// <summary>The keys after the changes; <paramref name="own"/> is left as it is.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidConfig"/> names the key.</exception>
    public static Dictionary<string, string> Apply(
        IReadOnlyDictionary<string, string> own, IReadOnlyList<ConfigChange> changes, BrokerConfig broker)
    {
        var result = new Dictionary<string, string>(own);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (ConfigChange change in changes)
        {
            if (!seen.Add(change.Key))
                throw Invalid($"{change.Key} is changed twice.");

            ConfigDefinition definition = TopicConfigs.Find(change.Key) ?? throw Invalid(TopicConfigs.Validate(change.Key, null)!);
            if (change.Operation == ConfigOperation.Delete)
            {
                result.Remove(change.Key);
                continue;
            }

            string? value = change.Operation == ConfigOperation.Set ? change.Value : EditList(definition, change, own, broker);
            if (definition.Validate(value) is { } fault)
                throw Invalid(fault);

            result[change.Key] = value!.Trim();
        }

        CheckTogether(result, broker);
        return result;
    }

    /// <summary>Checks the keys of a new topic.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidConfig"/> names the key.</exception>
    public static Dictionary<string, string> Check(IReadOnlyDictionary<string, string> configs, BrokerConfig broker) =>
        Apply(
            new Dictionary<string, string>(),
            [.. configs.Select(pair => new ConfigChange(pair.Key, ConfigOperation.Set, pair.Value))],
            broker);

    private static string EditList(
        ConfigDefinition definition, ConfigChange change, IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        if (definition.Type != ConfigType.List)
            throw Invalid($"{change.Key} is not a list; {change.Operation.ToString().ToLowerInvariant()} is for lists only.");

        string[] present = ConfigText.SplitList(TopicConfig.Describe(definition, own, broker).Value ?? "");
        string[] items = ConfigText.SplitList(change.Value ?? "");
        return string.Join(',', change.Operation == ConfigOperation.Append ? present.Union(items) : present.Except(items));
    }

    private static void CheckTogether(Dictionary<string, string> own, BrokerConfig broker)
    {
        TopicConfig config = TopicConfig.Resolve(own, broker);
        if (config.MinCompactionLagMs > config.MaxCompactionLagMs)
        {
            throw Invalid(
                $"{TopicConfigs.MinCompactionLagMs}={config.MinCompactionLagMs} is above " +
                $"{TopicConfigs.MaxCompactionLagMs}={config.MaxCompactionLagMs}.");
        }
    }

    private static ArusException Invalid(string message) => new(ErrorCode.InvalidConfig, message);
}
