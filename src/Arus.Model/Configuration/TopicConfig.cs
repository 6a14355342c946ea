using System.Globalization;

namespace Arus;

/// <summary>A topic's effective configuration: its own keys, then the broker's defaults. Immutable.</summary>
public sealed record TopicConfig
{
    private const long MaxRetentionMs = long.MaxValue / TimeSpan.TicksPerMillisecond / 2;

    /// <summary>Whether old segments are removed (<c>retention.ms</c>, <c>retention.bytes</c>).</summary>
    public required bool Delete { get; init; }

    /// <summary>Whether the last record of each key is kept.</summary>
    public required bool Compact { get; init; }

    public required TimeSpan DeleteRetention { get; init; }

    public required int IndexIntervalBytes { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MaxCompactionLagMs { get; init; }

    public required int MaxMessageBytes { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MessageTimestampAfterMaxMs { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MessageTimestampBeforeMaxMs { get; init; }

    public required bool LogAppendTime { get; init; }

    public required double MinCleanableDirtyRatio { get; init; }

    public required long MinCompactionLagMs { get; init; }

    public required int MinInSyncReplicas { get; init; }

    /// <summary>-1 for no limit.</summary>
    public required long RetentionBytes { get; init; }

    /// <summary>-1 for ever.</summary>
    public required long RetentionMs { get; init; }

    public required int SegmentBytes { get; init; }

    public required long SegmentMs { get; init; }

    public required bool UncleanLeaderElection { get; init; }

    /// <summary>The configuration of a topic with these keys set, on a broker with this configuration.</summary>
    /// <param name="own">Keys and values that <see cref="TopicConfigs.Validate"/> found valid.</param>
    public static TopicConfig Resolve(IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        string Get(string name) => Describe(TopicConfigs.Find(name)!, own, broker).Value!;
        long Long(string name) => long.Parse(Get(name), NumberStyles.Integer, CultureInfo.InvariantCulture);
        int Int(string name) => (int)Long(name);
        string[] policy = ConfigText.SplitList(Get(TopicConfigs.CleanupPolicy));
        return new TopicConfig
        {
            Delete = policy.Contains(TopicConfigs.Delete),
            Compact = policy.Contains(TopicConfigs.Compact),
            DeleteRetention = TimeSpan.FromMilliseconds(Math.Min(Long(TopicConfigs.DeleteRetentionMs), MaxRetentionMs)),
            IndexIntervalBytes = Int(TopicConfigs.IndexIntervalBytes),
            MaxCompactionLagMs = Long(TopicConfigs.MaxCompactionLagMs),
            MaxMessageBytes = Int(TopicConfigs.MaxMessageBytes),
            MessageTimestampAfterMaxMs = Long(TopicConfigs.MessageTimestampAfterMaxMs),
            MessageTimestampBeforeMaxMs = Long(TopicConfigs.MessageTimestampBeforeMaxMs),
            LogAppendTime = Get(TopicConfigs.MessageTimestampType) == TopicConfigs.LogAppendTime,
            MinCleanableDirtyRatio = double.Parse(Get(TopicConfigs.MinCleanableDirtyRatio), CultureInfo.InvariantCulture),
            MinCompactionLagMs = Long(TopicConfigs.MinCompactionLagMs),
            MinInSyncReplicas = Int(TopicConfigs.MinInSyncReplicas),
            RetentionBytes = Long(TopicConfigs.RetentionBytes),
            RetentionMs = Long(TopicConfigs.RetentionMs),
            SegmentBytes = Int(TopicConfigs.SegmentBytes),
            SegmentMs = Long(TopicConfigs.SegmentMs),
            UncleanLeaderElection = bool.Parse(Get(TopicConfigs.UncleanLeaderElectionEnable)),
        };
    }

    /// <summary>The value of one key on a topic and where it came from, for DescribeConfigs.</summary>
    public static ConfigValue Describe(ConfigDefinition definition, IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        if (own.TryGetValue(definition.Name, out string? value))
            return new ConfigValue(value, ConfigSource.DynamicTopic, "topic");

        return definition.BrokerKey is { } key
            ? broker.Effective(key)
            : new ConfigValue(definition.Default, ConfigSource.Default, "default");
    }
}
