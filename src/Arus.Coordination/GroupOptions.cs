namespace Arus.Coordination;

/// <summary>The broker's group settings, by Kafka's keys and with Kafka's defaults (Kafka documentation, "Broker Configs").</summary>
public sealed record GroupOptions
{
    /// <summary>
    /// <c>group.initial.rebalance.delay.ms</c>: how long an empty group waits for more members before its first rebalance completes.
    /// </summary>
    public int InitialRebalanceDelayMs { get; init; } = 3_000;

    /// <summary><c>group.min.session.timeout.ms</c>.</summary>
    public int MinSessionTimeoutMs { get; init; } = 6_000;

    /// <summary><c>group.max.session.timeout.ms</c>.</summary>
    public int MaxSessionTimeoutMs { get; init; } = 1_800_000;

    /// <summary><c>group.max.size</c>: members a group can have.</summary>
    public int MaxSize { get; init; } = int.MaxValue;

    /// <summary><c>offset.metadata.max.bytes</c>: the longest note a commit may carry, in bytes of UTF-8.</summary>
    public int OffsetMetadataMaxBytes { get; init; } = 4_096;

    /// <summary>
    /// <c>offsets.retention.minutes</c>, in milliseconds: how long offsets outlive the group's last member (or, for a consumer
    /// without a group, their commit).
    /// </summary>
    public long OffsetsRetentionMs { get; init; } = 7L * 24 * 60 * 60_000;

    /// <summary><c>offsets.retention.check.interval.ms</c>.</summary>
    public long OffsetsRetentionCheckIntervalMs { get; init; } = 600_000;

    /// <summary>Takes the settings out of a broker's configuration.</summary>
    public static GroupOptions From(BrokerConfig config) => new()
    {
        InitialRebalanceDelayMs = config.GetInt(BrokerConfigs.GroupInitialRebalanceDelayMs),
        MinSessionTimeoutMs = config.GetInt(BrokerConfigs.GroupMinSessionTimeoutMs),
        MaxSessionTimeoutMs = config.GetInt(BrokerConfigs.GroupMaxSessionTimeoutMs),
        MaxSize = config.GetInt(BrokerConfigs.GroupMaxSize),
        OffsetMetadataMaxBytes = config.GetInt(BrokerConfigs.OffsetMetadataMaxBytes),
        OffsetsRetentionMs = config.GetLong(BrokerConfigs.OffsetsRetentionMinutes) * 60_000,
        OffsetsRetentionCheckIntervalMs = config.GetLong(BrokerConfigs.OffsetsRetentionCheckIntervalMs),
    };

    /// <summary>Throws for settings that contradict themselves, naming the key.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range.</exception>
    public void Validate()
    {
        Require(InitialRebalanceDelayMs >= 0, "group.initial.rebalance.delay.ms must be 0 or more");
        Require(MinSessionTimeoutMs >= 1, "group.min.session.timeout.ms must be 1 or more");
        Require(MaxSessionTimeoutMs >= MinSessionTimeoutMs, "group.max.session.timeout.ms must not be below group.min.session.timeout.ms");
        Require(MaxSize >= 1, "group.max.size must be 1 or more");
        Require(OffsetMetadataMaxBytes >= 0, "offset.metadata.max.bytes must be 0 or more");
        Require(OffsetsRetentionMs >= 1, "offsets.retention.minutes must be 1 or more");
        Require(OffsetsRetentionCheckIntervalMs >= 1, "offsets.retention.check.interval.ms must be 1 or more");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
