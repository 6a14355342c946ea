using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// A consumer's place in its group: joins, keeps the session alive, rebalances and leaves, in the background. Thread-safe.
/// </summary>
/// <remarks>
/// The consumer's side of the contract: call <see cref="RecordPoll"/> whenever the application asks for records, commit with
/// <see cref="Identity"/>, hand the answers of commits to <see cref="ReportCommitError"/>, and stop delivering records of
/// partitions that the handler is told are gone.
/// </remarks>
public interface IGroupMembership : IAsyncDisposable
{
    /// <summary>Who this member is now: what a commit must carry. An empty member id while it is not in the group.</summary>
    MemberIdentity Identity { get; }

    /// <summary>The partitions owned now; a new list at each change.</summary>
    IReadOnlyList<TopicPartition> Assignment { get; }

    /// <summary>
    /// Ends when the membership does: in success after <see cref="LeaveAsync"/>, or with an <see cref="ArusException"/> for what
    /// repetition cannot cure (<see cref="ErrorCode.FencedInstanceId"/>, <see cref="ErrorCode.InconsistentGroupProtocol"/>,
    /// <see cref="ErrorCode.InvalidSessionTimeout"/>, <see cref="ErrorCode.GroupMaxSizeReached"/>, …) or what the handler threw.
    /// </summary>
    Task Completion { get; }

    /// <summary>
    /// Sets the subscription, and joins or rejoins the group with it. Without topics, as when a pattern matches none, the member gives up
    /// its partitions, gets no others, and keeps its place.
    /// </summary>
    void Subscribe(IReadOnlyCollection<string> topics);

    /// <summary>
    /// The application is alive. Without a call for <c>max.poll.interval.ms</c> the member leaves the group, its partitions are
    /// reported lost, and the next call joins again.
    /// </summary>
    void RecordPoll();

    /// <summary>Asks for a rebalance, for example because a subscribed topic has got partitions.</summary>
    void RequestRejoin(string reason);

    /// <summary>Says how the coordinator answered a commit, so that a member that was thrown out joins again at once.</summary>
    void ReportCommitError(ErrorCode error);

    /// <summary>
    /// Revokes what is owned, and leaves the group. A static member only stops: it keeps its place until its session times out.
    /// </summary>
    Task LeaveAsync(string reason, CancellationToken cancellationToken = default);
}

/// <summary>
/// What happens to a member's partitions. Calls come one at a time, in order; the rebalance waits for each of them, at most
/// <see cref="GroupMembershipOptions.RebalanceTimeoutMs"/>, after which the coordinator goes on without the member.
/// </summary>
public interface IGroupRebalanceHandler
{
    /// <summary>Partitions are to be given up: finish or drop the work on them, and commit. Still owned until this returns.</summary>
    ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken);

    /// <summary>Partitions were gained; empty after a rebalance that brought none.</summary>
    ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken);

    /// <summary>Partitions are gone already (the session expired, or another took the instance id): commits of them would fail.</summary>
    ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken);
}

/// <summary>Where the leader of a group learns how many partitions there are.</summary>
public interface ITopicPartitionSource
{
    /// <summary>The partition count of each topic that exists; others are left out.</summary>
    ValueTask<IReadOnlyDictionary<string, int>> GetPartitionCountsAsync(
        IReadOnlyCollection<string> topics, CancellationToken cancellationToken);
}

/// <summary>What a member tells the coordinator. Names and defaults are those of Kafka's consumer.</summary>
public sealed record GroupMembershipOptions
{
    public required string GroupId { get; init; }

    /// <summary><c>client.id</c>; the member id begins with it.</summary>
    public string ClientId { get; init; } = "arus";

    /// <summary><c>group.instance.id</c>: not null makes the member a static one (KIP-345).</summary>
    public string? GroupInstanceId { get; init; }

    /// <summary><c>client.rack</c>; null for none.</summary>
    public string? RackId { get; init; }

    /// <summary><c>session.timeout.ms</c>.</summary>
    public int SessionTimeoutMs { get; init; } = 45_000;

    /// <summary><c>heartbeat.interval.ms</c>; no more than a third of the session timeout.</summary>
    public int HeartbeatIntervalMs { get; init; } = 3_000;

    /// <summary><c>max.poll.interval.ms</c>; also how long a rebalance waits for this member.</summary>
    public int MaxPollIntervalMs { get; init; } = 300_000;

    /// <summary>
    /// How long a rebalance waits for this member to finish its work and join again; <see cref="MaxPollIntervalMs"/>, as in Kafka.
    /// </summary>
    public int RebalanceTimeoutMs => MaxPollIntervalMs;

    /// <summary><c>retry.backoff.ms</c>: the first pause after a call that failed; doubles up to <see cref="RetryBackoffMaxMs"/>.</summary>
    public int RetryBackoffMs { get; init; } = 100;

    /// <summary><c>retry.backoff.max.ms</c>.</summary>
    public int RetryBackoffMaxMs { get; init; } = 1_000;

    /// <summary>
    /// <c>partition.assignment.strategy</c>, in order of preference. Null for Kafka's default: range, then cooperative-sticky.
    /// </summary>
    public IReadOnlyList<IPartitionAssignor>? Assignors { get; init; }
}
