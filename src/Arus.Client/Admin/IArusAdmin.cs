using Arus.Grains;

namespace Arus.Client;

/// <summary>Topics, groups and the cluster, as an administrator sees them. Thread-safe; get it from dependency injection.</summary>
/// <remarks>
/// Every method throws <see cref="ArusException"/> with the error code of the refusal, and <see cref="ErrorCode.RequestTimedOut"/> when
/// no answer came in time. Reads are retried while leaders and coordinators move; changes are made once.
/// </remarks>
public interface IArusAdmin
{
    /// <summary>Creates a topic; it is durable when the call returns.</summary>
    Task<TopicDescription> CreateTopicAsync(NewTopic topic, CancellationToken cancellationToken = default);

    /// <summary>The cluster's topics by name.</summary>
    /// <param name="includeInternal">With the cluster's own, whose names begin with "__".</param>
    Task<IReadOnlyList<TopicListing>> ListTopicsAsync(bool includeInternal = false, CancellationToken cancellationToken = default);

    /// <exception cref="ArusException"><see cref="ErrorCode.UnknownTopicOrPartition"/>.</exception>
    Task<TopicDescription> DescribeTopicAsync(string topic, CancellationToken cancellationToken = default);

    /// <summary>The logs of a topic's partitions, by partition; an entry's error says why it could not be had.</summary>
    Task<IReadOnlyList<PartitionDescription>> DescribePartitionsAsync(string topic, CancellationToken cancellationToken = default);

    Task DeleteTopicAsync(string topic, CancellationToken cancellationToken = default);

    /// <summary>Raises the number of partitions. Keys may land in other partitions than before.</summary>
    Task<TopicDescription> CreatePartitionsAsync(string topic, int totalCount, CancellationToken cancellationToken = default);

    /// <summary>Changes topic configuration: all of <paramref name="changes"/> or none.</summary>
    Task AlterTopicConfigsAsync(string topic, IReadOnlyCollection<ConfigChange> changes, CancellationToken cancellationToken = default);

    /// <summary>The configuration of a topic, a broker, its loggers, a group or a subscription of client metrics.</summary>
    /// <param name="name">Of the resource: the id of a broker, for it and its loggers; empty for what is set for all brokers.</param>
    /// <param name="keys">Only these; all when there are none.</param>
    Task<IReadOnlyList<ConfigEntry>> DescribeConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<string> keys, CancellationToken cancellationToken = default);

    /// <summary>Changes configuration while brokers run: all of <paramref name="changes"/> or none.</summary>
    /// <param name="name">Of the resource: the id of a broker, for it and its loggers; empty for all brokers.</param>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidConfig"/> or <see cref="ErrorCode.InvalidRequest"/> names the key.
    /// </exception>
    Task AlterConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<ConfigChange> changes, bool validateOnly = false,
        CancellationToken cancellationToken = default);

    /// <summary>Removes a partition's records before an offset; -1 for all. Returns the new first offset.</summary>
    Task<long> DeleteRecordsAsync(TopicPartition partition, long beforeOffset, CancellationToken cancellationToken = default);

    /// <summary>Looks up an offset: where the log begins or ends, or of the first record at or after a time.</summary>
    Task<OffsetAndTimestamp> ListOffsetAsync(TopicPartition partition, OffsetSpec spec, CancellationToken cancellationToken = default);

    Task<IReadOnlyList<string>> ListGroupsAsync(CancellationToken cancellationToken = default);

    /// <exception cref="ArusException"><see cref="ErrorCode.GroupIdNotFound"/>.</exception>
    Task<GroupDescription> DescribeGroupAsync(string groupId, CancellationToken cancellationToken = default);

    /// <summary>All offsets that a group has committed.</summary>
    Task<IReadOnlyList<CommittedOffset>> ListGroupOffsetsAsync(string groupId, CancellationToken cancellationToken = default);

    /// <summary>Sets committed offsets of a group that has no members.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.UnknownMemberId"/> when the group has members.</exception>
    Task AlterGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<CommittedOffset> offsets, CancellationToken cancellationToken = default);

    /// <summary>Deletes committed offsets of topics that no member is subscribed to.</summary>
    Task DeleteGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default);

    /// <summary>Deletes a group that has no members, with its offsets.</summary>
    Task DeleteGroupAsync(string groupId, CancellationToken cancellationToken = default);

    Task<ClusterDescription> DescribeClusterAsync(CancellationToken cancellationToken = default);

    /// <summary>How partitions are spread over brokers now.</summary>
    Task<ClusterBalance> DescribeBalanceAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Lets a broker give away what it leads and keeps, as far as others can take it, until that is undone. It goes on by itself;
    /// <see cref="DescribeBalanceAsync"/> tells how far it is.
    /// </summary>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.BrokerIdNotRegistered"/>, or <see cref="ErrorCode.InvalidRequest"/>: nobody could take anything.
    /// </exception>
    Task DrainBrokerAsync(int brokerId, bool undo = false, CancellationToken cancellationToken = default);

    /// <summary>Stops the moves that spread partitions evenly over brokers, or lets them go on. What is under way is finished.</summary>
    Task PauseRebalanceAsync(bool pause, CancellationToken cancellationToken = default);

    /// <summary>
    /// Lets the preferred leaders lead, or those who are out of sync where nobody else can; an election that takes longer than about 15 s
    /// may still take place later.
    /// </summary>
    /// <param name="partitions">Null for all; of these only those are told that needed an election.</param>
    /// <returns>A result for each partition: <see cref="ErrorCode.ElectionNotNeeded"/> is one.</returns>
    Task<IReadOnlyList<PartitionOutcome>> ElectLeadersAsync(
        LeaderElectionType type, IReadOnlyCollection<TopicPartition>? partitions, CancellationToken cancellationToken = default);

    /// <summary>
    /// Gives a leader to partitions of which the database has lost who leads them and is in sync, as after it was restored from a backup:
    /// the replica whose log goes furthest.
    /// </summary>
    /// <param name="force">Also where a replica is away, whose records may be lost then.</param>
    /// <returns>A result for each partition that needed it: <see cref="ErrorCode.ReplicaNotAvailable"/> where replicas are away.</returns>
    Task<IReadOnlyList<PartitionOutcome>> RestoreMetadataAsync(bool force = false, CancellationToken cancellationToken = default);

    /// <summary>Begins or cancels reassignments, which go on by themselves; each by itself.</summary>
    /// <returns>A result for each partition.</returns>
    Task<IReadOnlyList<PartitionOutcome>> AlterPartitionReassignmentsAsync(
        IReadOnlyCollection<NewReassignment> reassignments, CancellationToken cancellationToken = default);

    /// <summary>The reassignments that are under way.</summary>
    Task<IReadOnlyList<PartitionReassignment>> ListPartitionReassignmentsAsync(CancellationToken cancellationToken = default);
}

/// <param name="Partitions">-1 for the brokers' <c>num.partitions</c>.</param>
/// <param name="ReplicationFactor">-1 for the brokers' <c>default.replication.factor</c>.</param>
public sealed record NewTopic(string Name, int Partitions = -1, short ReplicationFactor = -1)
{
    /// <summary>By Kafka's keys: <c>retention.ms</c>, <c>cleanup.policy</c>, … Only what differs from the brokers' defaults.</summary>
    public IReadOnlyDictionary<string, string> Configs { get; init; } = new Dictionary<string, string>();

    /// <summary>Check only; create nothing.</summary>
    public bool ValidateOnly { get; init; }
}
