using Arus.Grains;

namespace Arus.Client;

/// <summary>A consumer's place in its group: joins, keeps the session, rebalances and leaves, in the background. Thread-safe.</summary>
/// <remarks>
/// The consumer's side of the contract: call <see cref="RecordPoll"/> whenever the application asks for records, commit with
/// <see cref="Identity"/>, hand the answers of commits to <see cref="ReportCommitError"/>, and stop delivering records of
/// partitions that the handler gets as revoked or lost.
/// </remarks>
internal interface IGroupMembership : IAsyncDisposable
{
    /// <summary>What a commit must carry. The member id is empty while the member is not in the group.</summary>
    MemberIdentity Identity { get; }

    /// <summary>
    /// Completes when the membership ends: in success after <see cref="LeaveAsync"/>, or with an <see cref="ArusException"/> for an error
    /// that no retry can cure (<see cref="ErrorCode.FencedInstanceId"/>, <see cref="ErrorCode.InconsistentGroupProtocol"/>,
    /// <see cref="ErrorCode.InvalidSessionTimeout"/>, <see cref="ErrorCode.GroupMaxSizeReached"/>, …) or what the handler threw.
    /// </summary>
    Task Completion { get; }

    /// <summary>
    /// Sets the subscription, and joins or rejoins the group with it. Without topics, as when a pattern matches none, the member gives up
    /// its partitions, gets no others, and keeps its place.
    /// </summary>
    void Subscribe(IReadOnlyCollection<string> topics);

    /// <summary>
    /// Notes that the application polls. Without a call for <c>max.poll.interval.ms</c> the member leaves the group, its partitions are
    /// reported lost, and the next call joins again.
    /// </summary>
    void RecordPoll();

    /// <summary>Asks for a rebalance, for example because a subscribed topic has got partitions.</summary>
    void RequestRejoin(string reason);

    /// <summary>Reports the coordinator's answer to a commit, so that a member that was removed joins again at once.</summary>
    void ReportCommitError(ErrorCode error);

    /// <summary>Revokes what is owned and leaves the group. A static member just stops: its place stays until its session ends.</summary>
    Task LeaveAsync(string reason, CancellationToken cancellationToken = default);
}

/// <summary>Gives the leader of a group the partition count of each topic that exists; others are left out.</summary>
internal delegate ValueTask<IReadOnlyDictionary<string, int>> PartitionCountSource(
    IReadOnlyCollection<string> topics, CancellationToken cancellationToken);
