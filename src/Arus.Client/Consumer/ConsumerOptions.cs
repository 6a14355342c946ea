using static Arus.Client.OptionChecks;

namespace Arus.Client;

/// <summary>Where to begin when no offset is committed, or the log no longer has it (Kafka's <c>auto.offset.reset</c>).</summary>
public enum AutoOffsetReset : byte
{
    /// <summary>At the end of the log.</summary>
    Latest = 0,

    /// <summary>At the first record of the log.</summary>
    Earliest = 1,

    /// <summary>Nowhere: polling throws.</summary>
    None = 2,
}

/// <summary>How a consumer works. Names and meanings are those of Kafka's consumer; each property names its key.</summary>
public sealed record ConsumerOptions
{
    /// <summary><c>group.id</c>; null for a consumer without a group, which can neither subscribe nor commit.</summary>
    public string? GroupId { get; init; }

    /// <summary><c>client.id</c>.</summary>
    public string ClientId { get; init; } = "arus-consumer";

    /// <summary><c>group.instance.id</c>: a static member, which keeps its partitions through a restart (KIP-345).</summary>
    public string? GroupInstanceId { get; init; }

    /// <summary><c>auto.offset.reset</c>.</summary>
    public AutoOffsetReset AutoOffsetReset { get; init; } = AutoOffsetReset.Latest;

    /// <summary>
    /// <c>enable.auto.commit</c>: in the background, every <see cref="AutoCommitInterval"/>, before a rebalance and at the end. Needs a
    /// group.
    /// </summary>
    public bool EnableAutoCommit { get; init; } = true;

    /// <summary><c>auto.commit.interval.ms</c>.</summary>
    public TimeSpan AutoCommitInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary><c>max.poll.records</c>.</summary>
    public int MaxPollRecords { get; init; } = 500;

    /// <summary><c>max.poll.interval.ms</c>: a member that does not poll for so long loses its partitions.</summary>
    public TimeSpan MaxPollInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary><c>session.timeout.ms</c>.</summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary><c>heartbeat.interval.ms</c>.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary><c>fetch.max.wait.ms</c>: how long a fetch at the end of a partition waits for records.</summary>
    public TimeSpan FetchMaxWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary><c>fetch.max.bytes</c>: of records fetched and not delivered yet, over all partitions; one fetch may exceed it.</summary>
    public int FetchMaxBytes { get; init; } = 50 * 1024 * 1024;

    /// <summary><c>max.partition.fetch.bytes</c>: of one fetch. A larger batch is fetched alone.</summary>
    public int MaxPartitionFetchBytes { get; init; } = 1024 * 1024;

    /// <summary><c>isolation.level</c>.</summary>
    public IsolationLevel IsolationLevel { get; init; } = IsolationLevel.ReadUncommitted;

    /// <summary><c>check.crcs</c>: verify every batch that arrives.</summary>
    public bool CheckCrcs { get; init; } = true;

    /// <summary><c>retry.backoff.ms</c>: the first pause; it doubles up to <see cref="RetryBackoffMax"/>.</summary>
    public TimeSpan RetryBackoff { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary><c>retry.backoff.max.ms</c>.</summary>
    public TimeSpan RetryBackoffMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// <c>default.api.timeout.ms</c>: how long a commit or a look-up of offsets may take, retries included; null for
    /// <see cref="ArusClientOptions.DefaultApiTimeout"/>.
    /// </summary>
    public TimeSpan? DefaultApiTimeout { get; init; }

    /// <summary><c>metadata.max.age.ms</c>: how soon new partitions of a subscribed topic and new topics that match are noticed.</summary>
    public TimeSpan MetadataMaxAge { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary><c>partition.assignment.strategy</c>, in order of preference; null for Kafka's default.</summary>
    public IReadOnlyList<IPartitionAssignor>? PartitionAssignmentStrategy { get; init; }

    /// <summary>Called, in the background, when partitions are assigned, revoked or lost; null for none.</summary>
    public IConsumerRebalanceListener? RebalanceListener { get; init; }

    /// <exception cref="ArgumentException">The message names the option.</exception>
    internal void Validate()
    {
        Check(GroupId is null || Arus.GroupId.CanHaveMembers(GroupId), "group.id", "null or not empty");
        Check(GroupInstanceId is null || GroupId is not null, "group.instance.id", "null without group.id");
        Check(MaxPollRecords > 0, "max.poll.records", "greater than 0");
        Check(FetchMaxBytes > 0, "fetch.max.bytes", "greater than 0");
        Check(MaxPartitionFetchBytes > 0, "max.partition.fetch.bytes", "greater than 0");
        Check(FetchMaxWait >= TimeSpan.Zero, "fetch.max.wait.ms", "0 or more");
        Check(AutoCommitInterval > TimeSpan.Zero, "auto.commit.interval.ms", "greater than 0");
        Check(HeartbeatInterval > TimeSpan.Zero, "heartbeat.interval.ms", "greater than 0");
        Check(HeartbeatInterval < SessionTimeout, "heartbeat.interval.ms", "less than session.timeout.ms");
        Check(MaxPollInterval > TimeSpan.Zero, "max.poll.interval.ms", "greater than 0");
        Check(RetryBackoff >= TimeSpan.Zero && RetryBackoffMax >= RetryBackoff, "retry.backoff.max.ms", "no less than retry.backoff.ms");
        Check(
            PartitionAssignmentStrategy is not { } assignors
                || (assignors.Count > 0 && assignors.DistinctBy(assignor => assignor.Name).Count() == assignors.Count),
            "partition.assignment.strategy", "null or a list of different assignors");
        Check(DefaultApiTimeout is null || DefaultApiTimeout > TimeSpan.Zero, "default.api.timeout.ms", "null or greater than 0");
    }
}

/// <summary>
/// Called when partitions are assigned, revoked or lost. Calls come one at a time, from the group's background work, while no poll
/// delivers records of the partitions concerned; the rebalance waits for them.
/// </summary>
public interface IConsumerRebalanceListener
{
    /// <summary>The partitions are assigned; their records are delivered once this returns.</summary>
    ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) => default;

    /// <summary>The partitions are about to be revoked: their offsets can be committed for the last time.</summary>
    ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) => default;

    /// <summary>The partitions are lost already: other members may own them.</summary>
    ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) => default;
}
