namespace Arus.Coordination;

/// <summary>Where new member ids get their unique part; injected, so that a seed replays a run.</summary>
public interface IMemberIdSource
{
    /// <summary>A string that was never returned before, anywhere: a UUID in production.</summary>
    string Next();
}

/// <summary>Kafka's states of a classic group.</summary>
public enum GroupState : byte
{
    /// <summary>No members; committed offsets may remain.</summary>
    Empty = 0,

    /// <summary>Waits for the members to join the next generation.</summary>
    PreparingRebalance = 1,

    /// <summary>Waits for the leader's assignment.</summary>
    CompletingRebalance = 2,

    /// <summary>Every member has, or can have, its assignment.</summary>
    Stable = 3,

    /// <summary>There is no such group.</summary>
    Dead = 4,
}

/// <summary>Who speaks: what every request of a member carries.</summary>
/// <param name="Generation">-1 where the caller has none.</param>
public readonly record struct MemberRef(string MemberId, string? InstanceId, int Generation);

/// <summary>A protocol (assignor) that a member supports, with its subscription in that protocol's format.</summary>
public sealed record ProtocolChoice(string Name, ReadOnlyMemory<byte> Metadata);

/// <param name="Protocols">In order of preference.</param>
public sealed record JoinRequest(
    string MemberId, string? InstanceId, bool RequireKnownMemberId, string ClientId, string ClientHost,
    int SessionTimeoutMs, int RebalanceTimeoutMs, string ProtocolType, IReadOnlyList<ProtocolChoice> Protocols, bool SupportsSkippingAssignment);

public sealed record SyncRequest(
    MemberRef Member, string? ProtocolType, string? ProtocolName, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> Assignments);

/// <param name="ExpireAtMs">Unix milliseconds, or -1 to keep it as long as the group's retention says.</param>
public readonly record struct StoredOffset(long Offset, int LeaderEpoch, string Metadata, long CommittedAtMs, long ExpireAtMs);

public readonly record struct OffsetToCommit(TopicPartition Partition, long Offset, int LeaderEpoch, string Metadata);

/// <summary>What a caller is answered; which kind follows from what it asked.</summary>
public abstract record GroupReply;

/// <summary>The answer to heartbeats, deletions of the group, and everything that has but one error.</summary>
public sealed record ErrorReply(ErrorCode Error) : GroupReply;

/// <summary>One error for each entry of the request.</summary>
public sealed record ErrorsReply(ErrorCode[] Errors) : GroupReply;

/// <summary>Offsets in the order asked; null where none is committed.</summary>
public sealed record OffsetsReply(IReadOnlyList<KeyValuePair<TopicPartition, StoredOffset?>> Offsets) : GroupReply;

public sealed record JoinReply(
    ErrorCode Error, bool Pending, string MemberId, int Generation, string? ProtocolType, string? ProtocolName, string LeaderId,
    bool SkipAssignment, IReadOnlyList<MemberMetadata> Members) : GroupReply
{
    internal static JoinReply Failed(ErrorCode error, string memberId) => new(error, false, memberId, -1, null, null, "", false, []);
}

public sealed record MemberMetadata(string MemberId, string? InstanceId, ReadOnlyMemory<byte> Metadata);

public sealed record SyncReply(
    ErrorCode Error, bool Pending, string? ProtocolType, string? ProtocolName, ReadOnlyMemory<byte> Assignment) : GroupReply
{
    internal static SyncReply Failed(ErrorCode error) => new(error, false, null, null, default);
}

/// <summary>A reply that may go out.</summary>
/// <param name="Token">What the host gave with the request.</param>
public readonly record struct GroupAnswer(long Token, GroupReply Reply);

public sealed record GroupSummary(
    GroupState State, int Generation, string ProtocolType, string ProtocolName, string LeaderId, IReadOnlyList<MemberSummary> Members);

public sealed record MemberSummary(
    string MemberId, string? InstanceId, string ClientId, string ClientHost, ReadOnlyMemory<byte> Metadata, ReadOnlyMemory<byte> Assignment);

/// <summary>What of a group outlives its coordinator, without its offsets.</summary>
/// <param name="State"><see cref="GroupState.Empty"/>, <see cref="GroupState.Stable"/>, or <see cref="GroupState.CompletingRebalance"/>
/// for a generation that was announced and has no assignment yet.</param>
/// <param name="ProtocolType">"" for a group that never had members.</param>
/// <param name="EmptySinceMs">Unix milliseconds of the last change to Empty; -1 while there are members.</param>
public sealed record GroupSnapshot(
    GroupState State, int Generation, string ProtocolType, string ProtocolName, string LeaderId, long EmptySinceMs,
    IReadOnlyList<MemberSnapshot> Members);

/// <param name="Metadata">The subscription under the group's protocol.</param>
public sealed record MemberSnapshot(
    string MemberId, string? InstanceId, string ClientId, string ClientHost, int SessionTimeoutMs, int RebalanceTimeoutMs,
    ReadOnlyMemory<byte> Metadata, ReadOnlyMemory<byte> Assignment);

/// <summary>Changes to make durable, as one unit as far as the caller is concerned: it reports them written when all are.</summary>
/// <param name="Sequence">Grows with every change; see <see cref="ConsumerGroup.Written"/>.</param>
/// <param name="Clear">Forget all that was stored before, then apply the rest.</param>
/// <param name="Metadata">Null if it has not changed.</param>
/// <param name="Offsets">What changed; null for an offset to forget.</param>
public sealed record GroupWrite(
    long Sequence, bool Clear, GroupSnapshot? Metadata, IReadOnlyList<KeyValuePair<TopicPartition, StoredOffset?>> Offsets);
