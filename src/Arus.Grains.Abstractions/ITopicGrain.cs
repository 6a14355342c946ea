using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>One topic: its configuration and its partition map. The key is the topic's name.</summary>
[Alias("arus.ITopicGrain")]
public interface ITopicGrain : IGrainWithStringKey
{
    /// <summary>Creates the topic: durable, and listed in the catalog, when the call returns.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.TopicAlreadyExists"/>, <see cref="ErrorCode.InvalidTopicException"/>,
    /// <see cref="ErrorCode.InvalidPartitions"/>, <see cref="ErrorCode.InvalidReplicationFactor"/>,
    /// <see cref="ErrorCode.InvalidReplicaAssignment"/> or <see cref="ErrorCode.InvalidConfig"/>.</exception>
    [Alias("Create")]
    Task<TopicDescription> CreateAsync(TopicSpec spec);

    /// <summary>The topic as it is, or null when there is none of that name.</summary>
    [Alias("Describe"), AlwaysInterleave]
    Task<TopicDescription?> DescribeAsync();

    /// <summary>The broker that is to lead a partition, alive or not; -1 when there is no such partition. For placement.</summary>
    [Alias("Locate"), AlwaysInterleave]
    Task<int> LocateAsync(int partition);

    /// <summary>What one partition needs to know of its topic, which may have thousands; null when there is no such partition.</summary>
    [Alias("DescribePartition"), AlwaysInterleave]
    Task<PartitionSpec?> DescribePartitionAsync(int partition);

    /// <summary>Deletes the topic, its partitions and their records.</summary>
    /// <param name="topicId">The topic that is meant; empty for whichever has the name.</param>
    /// <exception cref="ArusException"><see cref="ErrorCode.UnknownTopicOrPartition"/>; <see cref="ErrorCode.UnknownTopicId"/> when the
    /// topic of the name has another id.</exception>
    [Alias("Delete")]
    Task DeleteAsync(Guid topicId = default);

    /// <summary>Raises the number of partitions to <paramref name="count"/>.</summary>
    /// <param name="count">The new total; it may not be lower than, or the same as, the present one.</param>
    /// <param name="assignments">The brokers of each new partition, or null to let Arus choose.</param>
    /// <param name="validateOnly">Check only; change nothing.</param>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidPartitions"/>,
    /// <see cref="ErrorCode.UnknownTopicOrPartition"/>.</exception>
    [Alias("CreatePartitions")]
    Task<TopicDescription> CreatePartitionsAsync(int count, int[][]? assignments, bool validateOnly);

    /// <summary>Changes configuration keys; all of <paramref name="changes"/> or none.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.InvalidConfig"/>, <see cref="ErrorCode.UnknownTopicOrPartition"/>.</exception>
    [Alias("AlterConfigs")]
    Task AlterConfigsAsync(ConfigChange[] changes, bool validateOnly);

    /// <summary>
    /// A partition says who leads it since its activation. A hint for clients; what fences is the partition's own state. It interleaves,
    /// since the topic calls partitions, and those activate, in its own turns.
    /// </summary>
    /// <param name="topicId">Of the topic whose records it leads: a report of one that was deleted since is ignored.</param>
    /// <returns>The topic's id, by which the partition knows whether its topic was deleted since; null without a topic.</returns>
    [Alias("ReportLeader"), AlwaysInterleave]
    Task<Guid?> ReportLeaderAsync(int partition, int brokerId, int leaderEpoch, Guid topicId);
}

/// <param name="Partitions">Count; -1 for the broker's <c>num.partitions</c>, or as many as <paramref name="Assignments"/> names.</param>
/// <param name="ReplicationFactor">-1 for the broker's <c>default.replication.factor</c>.</param>
/// <param name="Assignments">The brokers of each partition, leader first; null to let Arus choose.</param>
/// <param name="Configs">Topic configuration by Kafka's keys (<c>retention.ms</c>, …); only what differs from the defaults.</param>
/// <param name="ValidateOnly">Check only; create nothing.</param>
[GenerateSerializer, Immutable, Alias("arus.TopicSpec")]
public sealed record TopicSpec(
    int Partitions, short ReplicationFactor, int[][]? Assignments, Dictionary<string, string> Configs, bool ValidateOnly);

/// <param name="Configs">The keys set on this topic; every other key has its broker default.</param>
/// <param name="Version">Grows with every change of the topic; caches compare it.</param>
[GenerateSerializer, Immutable, Alias("arus.TopicDescription")]
public sealed record TopicDescription(
    string Name, Guid Id, PartitionAssignment[] Partitions, Dictionary<string, string> Configs, long Version, bool IsInternal);

/// <param name="Leader">The broker that leads now; -1 while none can.</param>
/// <param name="LeaderEpoch">-1 when the partition has not been activated since the topic grain was.</param>
/// <param name="Elr">Brokers out of sync that still have all that was acknowledged, and may lead (KIP-966).</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionAssignment")]
public sealed record PartitionAssignment(int Partition, int Leader, int LeaderEpoch, int[] Replicas, int[] Isr, int[]? Elr = null);

/// <param name="Replicas">The brokers that keep it, the preferred leader first.</param>
/// <param name="Configs">The keys set on the topic.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionSpec")]
public sealed record PartitionSpec(Guid TopicId, int[] Replicas, Dictionary<string, string> Configs);

/// <summary>Kafka's incremental operations (KIP-339).</summary>
public enum ConfigOperation : byte
{
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

/// <param name="Value">Null for <see cref="ConfigOperation.Delete"/>.</param>
[GenerateSerializer, Immutable, Alias("arus.ConfigChange")]
public sealed record ConfigChange(string Key, ConfigOperation Operation, string? Value);
