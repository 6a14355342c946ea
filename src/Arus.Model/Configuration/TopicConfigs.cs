namespace Arus;

/// <summary>
/// The configuration keys of a topic, with Kafka's names, types, defaults and meanings
/// (<see href="https://kafka.apache.org/documentation/#topicconfigs"/>).
/// </summary>
public static class TopicConfigs
{
    public const string LogType = "arus.log.type";
    public const string CleanupPolicy = "cleanup.policy";
    public const string CompressionGzipLevel = "compression.gzip.level";
    public const string CompressionLz4Level = "compression.lz4.level";
    public const string CompressionZstdLevel = "compression.zstd.level";
    public const string CompressionType = "compression.type";
    public const string DeleteRetentionMs = "delete.retention.ms";
    public const string FileDeleteDelayMs = "file.delete.delay.ms";
    public const string FlushMessages = "flush.messages";
    public const string FlushMs = "flush.ms";
    public const string IndexIntervalBytes = "index.interval.bytes";
    public const string InternalSegmentBytes = "internal.segment.bytes";
    public const string MaxCompactionLagMs = "max.compaction.lag.ms";
    public const string MaxDecompressedMessageBytes = "max.decompressed.message.bytes";
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
    public const string SegmentIndexBytes = "segment.index.bytes";
    public const string SegmentJitterMs = "segment.jitter.ms";
    public const string SegmentMs = "segment.ms";
    public const string UncleanLeaderElectionEnable = "unclean.leader.election.enable";

    /// <summary>The values of <see cref="CleanupPolicy"/>.</summary>
    public const string Delete = "delete";
    public const string Compact = "compact";

    /// <summary>The values of <see cref="MessageTimestampType"/>.</summary>
    public const string CreateTime = "CreateTime";
    public const string LogAppendTime = "LogAppendTime";

    /// <summary>Every key, sorted by name.</summary>
    public static IReadOnlyList<ConfigDefinition> All => ConfigTable.Topics.All;

    public static ConfigDefinition? Find(string name) => ConfigTable.Topics.Find(name);

    /// <summary>What is wrong with setting a key of a topic to a value; null when it is valid.</summary>
    public static string? Validate(string name, string? value) =>
        Find(name) is { } definition ? definition.Validate(value) : $"{name} is not a topic configuration key";
}
