using System.Collections.Immutable;
using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// What the machine asks of its host. Effects are carried out in their order; those that take time are answered by an input.
/// </summary>
public abstract record ReplicationEffect
{
    private ReplicationEffect()
    {
    }

    /// <summary>Open the partition's log; answered by <see cref="ReplicationMachine.LogOpened"/> or <c>LogFailed</c>.</summary>
    public sealed record OpenLog(PartitionState State) : ReplicationEffect;

    /// <summary>
    /// Close the log: this broker is no replica any more. If <paramref name="Delete"/>, delete it as well: the topic is gone, or others
    /// have kept the partition for a while.
    /// </summary>
    public sealed record CloseLog(PartitionId Id, bool Delete) : ReplicationEffect;

    /// <summary>
    /// Make durable that leaders below <paramref name="Epoch"/> are refused; then cut the log, if asked, also durably. Answered by
    /// <see cref="ReplicationMachine.Prepared"/>. No append of the same log is under way while it runs.
    /// </summary>
    /// <param name="TruncateTo">The log's end afterwards; -1 leaves the end.</param>
    /// <param name="RestartAt">The log becomes empty and begins at this offset; -1 for not.</param>
    /// <param name="RenewLogId">The log gets another id: acknowledged records may be missing.</param>
    public sealed record Prepare(PartitionId Id, int Epoch, long TruncateTo, long RestartAt, bool RenewLogId) : ReplicationEffect;

    /// <summary>
    /// Append what entry <paramref name="Index"/> of a push brought; answered by <see cref="ReplicationMachine.Appended"/> when all of it
    /// is durable. A batch whose leader epoch is above the entry's is refused like a damaged one.
    /// </summary>
    public sealed record AppendPushed(PartitionId Id, long Call, int Index) : ReplicationEffect;

    /// <summary>Let readers see what lies below; and let the log begin no earlier than its leader's.</summary>
    /// <param name="LogStartOffset">-1 to leave it.</param>
    public sealed record AdvanceHighWatermark(PartitionId Id, long HighWatermark, long LogStartOffset) : ReplicationEffect;

    /// <summary>
    /// Change a state; answered by <see cref="ReplicationMachine.SwapCompleted"/>. Swaps that come together go in one commit.
    /// </summary>
    /// <param name="Proposed">Its version is that of the state it replaces; the database gives the next.</param>
    public sealed record Swap(long Number, PartitionState Proposed) : ReplicationEffect;

    /// <summary>Answered by <see cref="ReplicationMachine.SessionsAnswered"/>.</summary>
    public sealed record SendSessions(long Call, int To, ReplicaSessionRequest Request) : ReplicationEffect;

    /// <summary>
    /// Read the records that follow each entry's previous end, as far as they are durable here and up to the size limit of a call, and send
    /// them. Answered by <see cref="ReplicationMachine.PushAnswered"/>. What was read counts only if the log's fenced epoch is not above
    /// the entry's after the read: a later leader may have had the log cut in the meantime. Entries for which there is no room go without
    /// records; none is left out.
    /// </summary>
    /// <param name="CatchUp">
    /// The entries of replicas that are not in sync, which bring no more than <paramref name="CatchUpBytes"/> together, unless their first
    /// batch is larger: what they brought is told with the answer.
    /// </param>
    public sealed record SendPush(long Call, int To, ReplicaPushRequest Request, Range CatchUp, int CatchUpBytes) : ReplicationEffect;

    public sealed record AnswerSessions(long Call, ReplicaSessionResponse Response) : ReplicationEffect;

    public sealed record AnswerPush(long Call, ReplicaPushResponse Response) : ReplicationEffect;

    /// <summary>Tell the data path how the partition may be used from now on.</summary>
    public sealed record Publish(ReplicaView View) : ReplicationEffect;

    /// <summary>Tell all live brokers of states that this broker changed.</summary>
    public sealed record Announce(ImmutableArray<PartitionState> States) : ReplicationEffect;

    /// <summary>Something that an operator should know; one line.</summary>
    public sealed record Report(PartitionId Id, string Message) : ReplicationEffect;
}

public enum ReplicaRole
{
    /// <summary>Neither: the log is not open, or no leader is known.</summary>
    None = 0,
    Follower = 1,
    Leader = 2,
}

/// <summary>How a replica may be used. A snapshot; the host keeps the last one of each partition for its data path.</summary>
/// <param name="State">As this broker knows it.</param>
/// <param name="EpochStart">A leader's log end when its epoch began; latest offsets are told once the high watermark is there.</param>
/// <param name="InSync">Live members of the isr that count for min.insync.replicas: under a swap those that are in both.</param>
/// <param name="HoldsAppends">The leadership is being moved: appends wait for the outcome, for no longer than the move may take.</param>
/// <param name="GivesVerdicts">False while somebody else may lead without waiting for a lease to run out.</param>
/// <param name="LeasesNeeded">The brokers that could replace the leader: see <see cref="LeaseTable.VerdictsUntilMs"/>.</param>
public sealed record ReplicaView(
    PartitionState State, ReplicaRole Role, long EpochStart, int InSync, bool HoldsAppends, bool GivesVerdicts,
    ImmutableArray<int> LeasesNeeded);
