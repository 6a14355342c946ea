namespace Arus.Client;

/// <summary>A topic as the list of topics has it.</summary>
/// <param name="Partitions">How many it has.</param>
/// <param name="IsInternal">Of the cluster itself; its name begins with two underscores.</param>
public sealed record TopicListing(string Name, Guid Id, int Partitions, bool IsInternal);

/// <summary>A topic, its configuration and who leads its partitions.</summary>
/// <param name="Partitions">By partition, from 0.</param>
/// <param name="Configs">The keys that are set on this topic; every other key has its broker default.</param>
public sealed record TopicDescription(
    string Name, Guid Id, IReadOnlyList<TopicPartitionInfo> Partitions, IReadOnlyDictionary<string, string> Configs, bool IsInternal);

/// <summary>Where a partition is kept.</summary>
/// <param name="Leader">The broker that leads now; -1 while none can.</param>
/// <param name="LeaderEpoch">-1 when it is not known yet.</param>
/// <param name="Replicas">The brokers that keep the partition, the preferred leader first.</param>
/// <param name="Isr">Those of them that are in sync.</param>
public sealed record TopicPartitionInfo(int Partition, int Leader, int LeaderEpoch, IReadOnlyList<int> Replicas, IReadOnlyList<int> Isr);

/// <summary>The log of a partition as its leader describes it.</summary>
/// <param name="Error">Why it could not be described; the offsets are -1 then.</param>
/// <param name="Leader">The broker that answered.</param>
/// <param name="HighWatermark">The offset at which reads end.</param>
/// <param name="SizeBytes">Of the log's segments.</param>
public sealed record PartitionDescription(
    ErrorCode Error, int Leader, int LeaderEpoch, long LogStartOffset, long HighWatermark, long LogEndOffset, long SizeBytes, int Segments);

/// <summary>What a topic configuration change does to a key (KIP-339).</summary>
public enum ConfigOperation : byte
{
    /// <summary>Sets the value.</summary>
    Set = 0,

    /// <summary>Returns the key to the brokers' default.</summary>
    Delete = 1,

    /// <summary>Adds to a list of values.</summary>
    Append = 2,

    /// <summary>Removes from a list of values.</summary>
    Subtract = 3,
}

/// <param name="Key">Kafka's: <c>retention.ms</c>, …</param>
/// <param name="Value">Null for <see cref="ConfigOperation.Delete"/>.</param>
public sealed record ConfigChange(string Key, ConfigOperation Operation, string? Value);

/// <summary>Which offset of a partition to look up.</summary>
public readonly record struct OffsetSpec
{
    private OffsetSpec(long timestamp) => Timestamp = timestamp;

    /// <summary>The offset at which reads end now.</summary>
    public static OffsetSpec Latest { get; } = new(-1);

    /// <summary>Where the log begins.</summary>
    public static OffsetSpec Earliest { get; } = new(-2);

    /// <summary>The record with the greatest timestamp (KIP-734).</summary>
    public static OffsetSpec MaxTimestamp { get; } = new(-3);

    /// <summary>As Kafka's ListOffsets API has it: Unix milliseconds, or a negative constant.</summary>
    internal long Timestamp { get; }

    /// <summary>The first record that is as late as <paramref name="time"/>, to the millisecond.</summary>
    public static OffsetSpec ForTime(DateTimeOffset time) => new(Math.Max(0, time.ToUnixTimeMilliseconds()));
}

/// <summary>An offset that was looked up.</summary>
/// <param name="Offset">-1 when no record has that timestamp or a later one.</param>
/// <param name="TimestampMs">Unix milliseconds, of the record at that offset; -1 when none was looked at.</param>
/// <param name="LeaderEpoch">-1 for unknown.</param>
public readonly record struct OffsetAndTimestamp(long Offset, long TimestampMs, int LeaderEpoch);

/// <summary>The value of a configuration key.</summary>
/// <param name="Value">Null when there is none, or when it is not told.</param>
/// <param name="IsReadOnly">Whether it is read when a broker starts.</param>
/// <param name="IsSensitive">Whether the value is not told.</param>
public sealed record ConfigEntry(string Name, string? Value, ConfigSource Source, ConfigType Type, bool IsReadOnly, bool IsSensitive);
