using System.Collections.Frozen;
using static Arus.ConfigDefinition;

namespace Arus;

/// <summary>
/// The configuration keys of a topic, with Kafka's names, types, defaults and meanings
/// (<see href="https://kafka.apache.org/documentation/#topicconfigs"/>). Everything that validates or describes them uses this table.
/// </summary>
public static class TopicConfigs
{
    public const string CleanupPolicy = "cleanup.policy";
    public const string CompressionType = "compression.type";
    public const string DeleteRetentionMs = "delete.retention.ms";
    public const string FileDeleteDelayMs = "file.delete.delay.ms";
    public const string FlushMessages = "flush.messages";
    public const string FlushMs = "flush.ms";
    public const string IndexIntervalBytes = "index.interval.bytes";
    public const string MaxCompactionLagMs = "max.compaction.lag.ms";
    public const string MaxMessageBytes = "max.message.bytes";
    public const string MessageTimestampAfterMaxMs = "message.timestamp.after.max.ms";
    public const string MessageTimestampBeforeMaxMs = "message.timestamp.before.max.ms";
    public const string MessageTimestampType = "message.timestamp.type";
    public const string MinCleanableDirtyRatio = "min.cleanable.dirty.ratio";
    public const string MinCompactionLagMs = "min.compaction.lag.ms";
    public const string MinInSyncReplicas = "min.insync.replicas";
    public const string Preallocate = "preallocate";
    public const string RetentionBytes = "retention.bytes";
    public const string RetentionMs = "retention.ms";
    public const string SegmentBytes = "segment.bytes";
    public const string SegmentMs = "segment.ms";
    public const string UncleanLeaderElectionEnable = "unclean.leader.election.enable";

    /// <summary>The values of <see cref="CleanupPolicy"/>.</summary>
    public const string Delete = "delete";
    public const string Compact = "compact";

    /// <summary>The values of <see cref="MessageTimestampType"/>.</summary>
    public const string CreateTime = "CreateTime";
    public const string LogAppendTime = "LogAppendTime";

    /// <summary>Every key, sorted by name.</summary>
    public static IReadOnlyList<ConfigDefinition> All { get; } =
        [.. Define().OrderBy(definition => definition.Name, StringComparer.Ordinal)];

    private static readonly FrozenDictionary<string, ConfigDefinition> ByName = All.ToFrozenDictionary(definition => definition.Name);

    public static ConfigDefinition? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>What is wrong with setting a key of a topic to a value; null when it is valid.</summary>
    public static string? Validate(string name, string? value) =>
        Find(name) is { } definition ? definition.Validate(value) : $"{name} is not a topic configuration key";

    private static IEnumerable<ConfigDefinition> Define() =>
    [
        ListOf(
            CleanupPolicy, Delete, "What happens to old records: delete removes old segments, compact keeps the last record of each key.",
            Delete, Compact).WithBrokerKey(BrokerConfigs.LogCleanupPolicy),
        Fixed(
            CompressionType, ConfigType.String, "producer", "The broker keeps the compression that the producer chose."),
        Long(
            DeleteRetentionMs, 86_400_000, "How long a compacted topic keeps a tombstone, in milliseconds.",
            min: 0).WithBrokerKey(BrokerConfigs.LogCleanerDeleteRetentionMs),
        Fixed(
            FileDeleteDelayMs, ConfigType.Long, "60000", "Files are deleted as soon as no reader holds them."),
        Fixed(
            FlushMessages, ConfigType.Long, "9223372036854775807", "When records are flushed is set for the broker, with arus.flush."),
        Fixed(
            FlushMs, ConfigType.Long, "9223372036854775807", "When records are flushed is set for the broker, with arus.flush."),
        Int(
            IndexIntervalBytes, 4096, "An index entry is written for every so many bytes of log.",
            min: 0).WithBrokerKey(BrokerConfigs.LogIndexIntervalBytes),
        Long(
            MaxCompactionLagMs, long.MaxValue, "A record may stay uncompacted no longer than this, in milliseconds.",
            min: 1).WithBrokerKey(BrokerConfigs.LogCleanerMaxCompactionLagMs),
        Int(
            MaxMessageBytes, 1_048_588, "The largest record batch that is accepted, in bytes, after compression.",
            min: 0).WithBrokerKey(BrokerConfigs.MessageMaxBytes),
        Long(
            MessageTimestampAfterMaxMs, 3_600_000, "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
            min: 0).WithBrokerKey(BrokerConfigs.LogMessageTimestampAfterMaxMs),
        Long(
            MessageTimestampBeforeMaxMs, long.MaxValue, "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
            min: 0).WithBrokerKey(BrokerConfigs.LogMessageTimestampBeforeMaxMs),
        OneOf(
            MessageTimestampType, CreateTime, "Whether a record has the timestamp of its creation or of its append.",
            CreateTime, LogAppendTime).WithBrokerKey(BrokerConfigs.LogMessageTimestampType),
        Double(
            MinCleanableDirtyRatio, 0.5, "The share of a log that must be uncompacted before compaction runs.",
            0, 1).WithBrokerKey(BrokerConfigs.LogCleanerMinCleanableRatio),
        Long(
            MinCompactionLagMs, 0, "A record stays uncompacted at least this long, in milliseconds.",
            min: 0).WithBrokerKey(BrokerConfigs.LogCleanerMinCompactionLagMs),
        Int(
            MinInSyncReplicas, 1, "How many replicas must have a record before acks=all is answered.",
            min: 1).WithBrokerKey(BrokerConfigs.MinInSyncReplicas),
        Fixed(Preallocate, ConfigType.Boolean, "false", "Segment files grow as they are written."),
        Long(
            RetentionBytes, -1, "The size to which a partition is cut by removing old segments, in bytes; -1 for no limit.",
            min: -1).WithBrokerKey(BrokerConfigs.LogRetentionBytes),
        Long(
            RetentionMs, 604_800_000, "How long records are kept, in milliseconds; -1 for ever.",
            min: -1).WithBrokerKey(BrokerConfigs.LogRetentionMs),
        Int(
            SegmentBytes, 1_073_741_824, "The size at which the active segment is rolled, in bytes.",
            min: 1024).WithBrokerKey(BrokerConfigs.LogSegmentBytes),
        Long(
            SegmentMs, 604_800_000, "The age at which the active segment is rolled, in milliseconds.",
            min: 1).WithBrokerKey(BrokerConfigs.LogRollMs),
        Boolean(
            UncleanLeaderElectionEnable, false, "Whether a replica out of sync may lead when no other is left, which loses records.")
            .WithBrokerKey(BrokerConfigs.UncleanLeaderElectionEnable),
    ];
}
