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

    /// <summary>How batches are stored: <c>producer</c>, <c>uncompressed</c>, or the name of a codec.</summary>
    public required string CompressionType { get; init; }

    public required int CompressionGzipLevel { get; init; }

    public required int CompressionLz4Level { get; init; }

    public required int CompressionZstdLevel { get; init; }

    /// <summary>Whether the log is compacted now: the broker's cleaner may be switched off.</summary>
    public required bool IsCleaned { get; init; }

    public required TimeSpan DeleteRetention { get; init; }

    public required TimeSpan FileDeleteDelay { get; init; }

    /// <summary><see cref="long.MaxValue"/> for no limit.</summary>
    public required long FlushMessages { get; init; }

    /// <summary><see cref="long.MaxValue"/> for no limit.</summary>
    public required long FlushMs { get; init; }

    public required int IndexIntervalBytes { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MaxCompactionLagMs { get; init; }

    public required int MaxDecompressedMessageBytes { get; init; }

    public required int MaxMessageBytes { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MessageTimestampAfterMaxMs { get; init; }

    /// <summary>In milliseconds; <see cref="long.MaxValue"/> for no limit.</summary>
    public required long MessageTimestampBeforeMaxMs { get; init; }

    /// <summary>Where records are kept: a value of <see cref="BrokerConfigs.LogType"/>.</summary>
    public required string LogType { get; init; }

    public required bool LogAppendTime { get; init; }

    public required double MinCleanableDirtyRatio { get; init; }

    public required long MinCompactionLagMs { get; init; }

    public required int MinInSyncReplicas { get; init; }

    public required bool Preallocate { get; init; }

    /// <summary>After how long the sequence numbers of an idle producer are forgotten; a key of brokers.</summary>
    public required long ProducerIdExpirationMs { get; init; }

    /// <summary>Negative for no limit.</summary>
    public required long RetentionBytes { get; init; }

    /// <summary>Negative for ever.</summary>
    public required long RetentionMs { get; init; }

    public required int SegmentBytes { get; init; }

    public required int SegmentIndexBytes { get; init; }

    public required long SegmentJitterMs { get; init; }

    public required long SegmentMs { get; init; }

    public required bool UncleanLeaderElection { get; init; }

    /// <summary>The configuration of a topic with these keys set, on a broker with this configuration.</summary>
    /// <param name="own">Keys and values that <see cref="TopicConfigs.Validate"/> found valid.</param>
    public static TopicConfig Resolve(IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        string Get(string name)
        {
            ConfigDefinition key = TopicConfigs.Find(name)!;
            return own.GetValueOrDefault(name) ?? (key.BrokerKey is { } brokerKey ? broker.Effective(brokerKey).Value : key.Default)!;
        }

        long Long(string name) => long.Parse(Get(name), NumberStyles.Integer, CultureInfo.InvariantCulture);
        int Int(string name) => (int)Long(name);
        TimeSpan Duration(string name) => TimeSpan.FromMilliseconds(Math.Min(Long(name), MaxRetentionMs));
        string[] policy = ConfigText.SplitList(Get(TopicConfigs.CleanupPolicy));
        return new TopicConfig
        {
            Delete = policy.Contains(TopicConfigs.Delete),
            Compact = policy.Contains(TopicConfigs.Compact),
            IsCleaned = policy.Contains(TopicConfigs.Compact) && broker.GetBoolean(BrokerConfigs.LogCleanerEnable),
            DeleteRetention = Duration(TopicConfigs.DeleteRetentionMs),
            CompressionType = Get(TopicConfigs.CompressionType),
            CompressionGzipLevel = Int(TopicConfigs.CompressionGzipLevel),
            CompressionLz4Level = Int(TopicConfigs.CompressionLz4Level),
            CompressionZstdLevel = Int(TopicConfigs.CompressionZstdLevel),
            FileDeleteDelay = Duration(TopicConfigs.FileDeleteDelayMs),
            FlushMessages = Long(TopicConfigs.FlushMessages),
            FlushMs = Long(TopicConfigs.FlushMs),
            IndexIntervalBytes = Int(TopicConfigs.IndexIntervalBytes),
            MaxCompactionLagMs = Long(TopicConfigs.MaxCompactionLagMs),
            MaxDecompressedMessageBytes = Int(TopicConfigs.MaxDecompressedMessageBytes),
            MaxMessageBytes = Int(TopicConfigs.MaxMessageBytes),
            MessageTimestampAfterMaxMs = Long(TopicConfigs.MessageTimestampAfterMaxMs),
            MessageTimestampBeforeMaxMs = Long(TopicConfigs.MessageTimestampBeforeMaxMs),
            LogType = Get(TopicConfigs.LogType),
            LogAppendTime = Get(TopicConfigs.MessageTimestampType) == TopicConfigs.LogAppendTime,
            MinCleanableDirtyRatio = double.Parse(Get(TopicConfigs.MinCleanableDirtyRatio), CultureInfo.InvariantCulture),
            MinCompactionLagMs = Long(TopicConfigs.MinCompactionLagMs),
            MinInSyncReplicas = Int(TopicConfigs.MinInSyncReplicas),
            Preallocate = bool.Parse(Get(TopicConfigs.Preallocate)),
            ProducerIdExpirationMs = broker.GetLong(BrokerConfigs.ProducerIdExpirationMs),
            RetentionBytes = Long(TopicConfigs.RetentionBytes),
            RetentionMs = Long(TopicConfigs.RetentionMs),
            SegmentBytes = Int(
                own.ContainsKey(TopicConfigs.InternalSegmentBytes) ? TopicConfigs.InternalSegmentBytes : TopicConfigs.SegmentBytes),
            SegmentIndexBytes = Int(TopicConfigs.SegmentIndexBytes),
            SegmentJitterMs = Long(TopicConfigs.SegmentJitterMs),
            SegmentMs = Long(TopicConfigs.SegmentMs),
            UncleanLeaderElection = bool.Parse(Get(TopicConfigs.UncleanLeaderElectionEnable)),
        };
    }

    /// <summary>The value of one key on a topic and where it came from, for DescribeConfigs.</summary>
    public static ConfigValue Describe(ConfigDefinition definition, IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        string? value = own.TryGetValue(definition.Name, out string? set) ? definition.Normalize(set)
            : definition.BrokerKey is { } key ? broker.Effective(key).Value
            : definition.Default;
        ConfigSynonym first = Synonyms(definition, own, broker).FirstOrDefault();
        return first.Name is null ? new ConfigValue(value, ConfigSource.Default, "default") : first.Value with { Value = value };
    }

    /// <summary>The topic's own value of a key, if any, then those of the broker's key.</summary>
    public static IEnumerable<ConfigSynonym> Synonyms(
        ConfigDefinition definition, IReadOnlyDictionary<string, string> own, BrokerConfig broker)
    {
        IEnumerable<ConfigSynonym> inherited = definition.BrokerKey is { } key ? broker.Synonyms(key) : [];
        return own.TryGetValue(definition.Name, out string? set)
            ? inherited.Prepend(new(definition.Name, new(definition.Normalize(set), ConfigSource.DynamicTopic, "topic")))
            : inherited;
    }
}
