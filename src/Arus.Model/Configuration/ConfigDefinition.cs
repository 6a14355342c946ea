namespace Arus;

/// <summary>The type of a configuration value, with the numbers that DescribeConfigs sends.</summary>
public enum ConfigType : sbyte
{
    Unknown = 0,
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// <summary>Where a configuration value came from, with the numbers that DescribeConfigs sends.</summary>
public enum ConfigSource : sbyte
{
    Unknown = 0,
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    DynamicClientMetrics = 7,
    DynamicGroup = 8,
}

/// <summary>What configuration belongs to, with the numbers of the protocol.</summary>
public enum ConfigResourceType : sbyte
{
    Unknown = 0,
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

/// <summary>Where and when the value of a key may be changed.</summary>
public enum ConfigScope
{
    /// <summary>Read when the broker starts.</summary>
    ReadOnly,

    /// <summary>While the broker runs, for one broker.</summary>
    Broker,

    /// <summary>While brokers run, for one of them or for all.</summary>
    Cluster,

    /// <summary>While brokers run, for all of them only.</summary>
    ClusterOnly,

    /// <summary>While the broker runs, under the prefix <c>listener.name.</c> of a listener only.</summary>
    Listener,

    /// <summary>At any time: keys of topics, groups and client metrics.</summary>
    Dynamic,
}

/// <summary>A configuration key: its type, its default, the values it allows, and its meaning.</summary>
public sealed record ConfigDefinition
{
    private const string InternalPrefix = "internal.";

    /// <summary>The throttles of Kafka's reassignment tool, which sets and removes them.</summary>
    private static readonly HashSet<string> Throttles =
    [
        "leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second",
    ];

    public required string Name { get; init; }

    public required ConfigType Type { get; init; }

    /// <summary>The default value; null when the key has none.</summary>
    public required string? Default { get; init; }

    public required ConfigScope Scope { get; init; }

    /// <summary>What the key does, in a sentence or two; where it has no effect, why.</summary>
    public required string Documentation { get; init; }

    /// <summary>Whether the value has an effect; otherwise any valid value is accepted, kept and told.</summary>
    public required bool IsHonoured { get; init; }

    /// <summary>For the key of a topic or a group: the broker's key that gives its default; null when there is none.</summary>
    public string? BrokerKey { get; init; }

    /// <summary>Whether the value is never told.</summary>
    public bool IsSensitive => Type == ConfigType.Password;

    /// <summary>Whether the key is told only where it is set.</summary>
    public bool IsInternal => Name.StartsWith(InternalPrefix, StringComparison.Ordinal) || Throttles.Contains(Name);

    /// <summary>The allowed values, for people: <c>0 to 100</c>, <c>one of: a, b</c>.</summary>
    public string Allowed => Rule.Text;

    internal ConfigRule Rule { get; init; } = ConfigRule.Read("-", ConfigType.String);

    /// <summary>What is wrong with <paramref name="value"/>, with key, value and allowed values; null when it is valid.</summary>
    public string? Validate(string? value)
    {
        string? fault = value is null ? "a value is needed" : ConfigText.Parse(value, Type, out string parsed) ?? Rule.Check(parsed);
        return fault is null ? null : $"{Name}={(IsSensitive ? "?" : value)}: {fault}; allowed: {Allowed}";
    }

    /// <summary>A value as it is kept and told: <c>FALSE</c> is false, <c>+7</c> is 7. What is not of the type stays as it is.</summary>
    public string Normalize(string value)
    {
        ConfigText.Parse(value, Type, out string parsed);
        return parsed;
    }
}
