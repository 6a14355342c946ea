using System.Collections.Immutable;
using Arus.Protocol;

namespace Arus.Coordination.Replication;

public enum SwapOutcome
{
    /// <summary>It took effect; the state has the new version.</summary>
    Won = 0,

    /// <summary>Another was faster; the state is what it made.</summary>
    Lost = 1,

    /// <summary>No answer came: it may have taken effect, and it may yet.</summary>
    Unknown = 2,
}

/// <summary>
/// The replication of one broker: elections, sessions with followers, high watermarks, who is in sync, leases. A deterministic state
/// machine without I/O, clock or chance. Not thread-safe.
/// </summary>
public sealed class ReplicationMachine(ReplicationOptions options)
{
    public ReplicationOptions Options { get; } = options;

    /// <summary>What other brokers promised; the data path reads it from any thread.</summary>
    public LeaseTable Leases { get; } = new();

    /// <summary>How many partitions this broker leads, or is about to.</summary>
    public int LeaderCount => throw new NotImplementedException();

    /// <summary>The states of all partitions when the broker starts. Whatever they say, this broker leads nothing yet.</summary>
    public void Start(IReadOnlyList<PartitionState> states, long nowMs) => throw new NotImplementedException();

    /// <summary>States that changed, or are told again; older versions than known ones are ignored.</summary>
    public void Learn(IReadOnlyList<PartitionState> states, long nowMs) => throw new NotImplementedException();

    /// <summary>The membership was read from the database: to be told after every reading, whether anything changed or not.</summary>
    /// <param name="live">The brokers in the cluster's membership, this one included, and the number of each one's present life.</param>
    /// <param name="nowMs">When the reading began.</param>
    public void MembershipChanged(IReadOnlyDictionary<int, long> live, long nowMs) => throw new NotImplementedException();

    public void SwapCompleted(long number, SwapOutcome outcome, PartitionState? state, long nowMs) => throw new NotImplementedException();

    public void LogOpened(PartitionId id, IReplicaLog log, long nowMs) => throw new NotImplementedException();

    /// <summary>The log cannot be opened, or failed. It is opened again later.</summary>
    public void LogFailed(PartitionId id, long nowMs) => throw new NotImplementedException();

    /// <summary>A <see cref="ReplicationEffect.Prepare"/> is done, durably.</summary>
    public void Prepared(PartitionId id, long nowMs) => throw new NotImplementedException();

    /// <summary>What an <see cref="ReplicationEffect.AppendPushed"/> brought is durable.</summary>
    public void Appended(PartitionId id, long nowMs) => throw new NotImplementedException();

    /// <summary>The durable end or the start of a leader's log moved. It does no harm to call it for others.</summary>
    public void Durable(PartitionId id, long nowMs) => throw new NotImplementedException();

    public void ReceiveSessions(long call, int from, ReplicaSessionRequest request, long nowMs) => throw new NotImplementedException();

    /// <param name="from">The broker that sends it.</param>
    public void ReceivePush(long call, int from, ReplicaPushRequest request, long nowMs) => throw new NotImplementedException();

    /// <param name="response">Null: the call failed, and whether it arrived is unknown.</param>
    public void SessionsAnswered(long call, ReplicaSessionResponse? response, long nowMs) => throw new NotImplementedException();

    /// <inheritdoc cref="SessionsAnswered"/>
    public void PushAnswered(long call, ReplicaPushResponse? response, long nowMs) => throw new NotImplementedException();

    /// <summary>The topic's <c>min.insync.replicas</c>, and whether it allows unclean elections; told before the log is opened.</summary>
    public void Configure(PartitionId id, int minInSyncReplicas, bool uncleanElections, long nowMs) => throw new NotImplementedException();

    /// <summary>Move the leadership of a partition to an in-sync replica; gives up if that does not catch up in time.</summary>
    public void MoveLeadership(PartitionId id, int target, long nowMs) => throw new NotImplementedException();

    /// <summary>The broker is about to stop: every leadership moves to somebody in sync, as far as there is one.</summary>
    public void Drain(long nowMs) => throw new NotImplementedException();

    /// <summary>Does what is due. Calling it early does no harm.</summary>
    public void Advance(long nowMs) => throw new NotImplementedException();

    /// <summary>What is to be done, each once, and when <see cref="Advance"/> is due at the latest.</summary>
    public (IReadOnlyList<ReplicationEffect> Effects, long DeadlineMs) TakeEffects() => throw new NotImplementedException();
}
