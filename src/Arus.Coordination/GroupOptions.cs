namespace Arus.Coordination;

/// <summary>The settings of groups, with the values of a broker's configuration, which has checked them, unless others are set.</summary>
public sealed class GroupOptions(BrokerConfig config)
{
    /// <summary>How long an empty group waits for more members before its first rebalance completes.</summary>
    public int InitialRebalanceDelayMs { get; init; } = config.GetInt(BrokerConfigs.GroupInitialRebalanceDelayMs);

    public int MinSessionTimeoutMs { get; init; } = config.GetInt(BrokerConfigs.GroupMinSessionTimeoutMs);

    public int MaxSessionTimeoutMs { get; init; } = config.GetInt(BrokerConfigs.GroupMaxSessionTimeoutMs);

    /// <summary>Members a group can have.</summary>
    public int MaxSize { get; init; } = config.GetInt(BrokerConfigs.GroupMaxSize);

    /// <summary>The longest metadata of a commit, in characters (UTF-16 units): what Kafka counts, whatever its key is called.</summary>
    public int OffsetMetadataMaxLength { get; init; } = config.GetInt(BrokerConfigs.OffsetMetadataMaxBytes);

    /// <summary>How long offsets outlive the group's last member, or, for a consumer without a group, their commit.</summary>
    public long OffsetsRetentionMs { get; init; } = config.GetLong(BrokerConfigs.OffsetsRetentionMinutes) * 60_000;

    public long OffsetsRetentionCheckIntervalMs { get; init; } = config.GetLong(BrokerConfigs.OffsetsRetentionCheckIntervalMs);
}
