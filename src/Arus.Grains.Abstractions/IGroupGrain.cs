using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The coordinator of one consumer group (the classic protocol): members, generations, committed offsets. The key is the group id.
/// </summary>
/// <remarks>
/// Join and sync wait for other members. A wait lasts at most <see cref="MaxWaitMs"/>; then the answer says
/// <c>Pending</c>, and the caller asks again with the member id of that answer, which takes its place again.
/// </remarks>
[Alias("arus.IGroupGrain")]
public interface IGroupGrain : IGrainWithStringKey
{
    /// <summary>Below every response timeout, so that a call in flight to a silo that dies is known to be lost soon.</summary>
    const int MaxWaitMs = 4_000;

    [Alias("Join"), AlwaysInterleave]
    Task<JoinGroupResult> JoinAsync(JoinGroupCommand command);

    [Alias("Sync"), AlwaysInterleave]
    Task<SyncGroupResult> SyncAsync(SyncGroupCommand command);

    [Alias("Heartbeat"), AlwaysInterleave]
    Task<ErrorCode> HeartbeatAsync(MemberIdentity member);

    /// <summary>Removes members; one answer for each, in order.</summary>
    [Alias("Leave"), AlwaysInterleave]
    Task<ErrorCode[]> LeaveAsync(MemberIdentity[] members, string? reason);

    /// <summary>Answers when the offsets are durable; one error for each entry of the command, in order.</summary>
    [Alias("CommitOffsets"), AlwaysInterleave]
    Task<ErrorCode[]> CommitOffsetsAsync(CommitOffsetsCommand command);

    /// <summary>Committed offsets; offset -1 and metadata "" where there is none. Null asks for all. What is answered is durable.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.NotCoordinator"/>: ask again.</exception>
    [Alias("FetchOffsets"), AlwaysInterleave]
    Task<CommittedOffset[]> FetchOffsetsAsync(TopicPartition[]? partitions);

    /// <summary>Forgets offsets of partitions that no member is subscribed to; one error for each, in order.</summary>
    [Alias("DeleteOffsets"), AlwaysInterleave]
    Task<ErrorCode[]> DeleteOffsetsAsync(TopicPartition[] partitions);

    [Alias("Describe"), AlwaysInterleave]
    Task<GroupDescription> DescribeAsync();

    /// <summary>Deletes an empty group with its offsets.</summary>
    /// <returns><see cref="ErrorCode.NonEmptyGroup"/> or <see cref="ErrorCode.GroupIdNotFound"/> when it cannot.</returns>
    [Alias("Delete"), AlwaysInterleave]
    Task<ErrorCode> DeleteAsync();

    /// <summary>The broker on which the group's coordinator runs; activates it if it runs nowhere.</summary>
    [Alias("Locate"), AlwaysInterleave]
    Task<int> LocateAsync();
}

/// <summary>One shard of the list of groups, sharded as topics are (<see cref="TopicCatalog.ShardOf(string)"/>).</summary>
[Alias("arus.IGroupCatalogGrain")]
public interface IGroupCatalogGrain : IGrainWithIntegerKey
{
    [Alias("Add")]
    Task AddAsync(string groupId);

    [Alias("Remove")]
    Task RemoveAsync(string groupId);

    [Alias("List"), AlwaysInterleave]
    Task<string[]> ListAsync();
}

/// <param name="MemberId">Empty for a new member.</param>
/// <param name="GroupInstanceId">Not null for a static member (KIP-345).</param>
/// <param name="GenerationId">-1 where the caller has none.</param>
[GenerateSerializer, Immutable, Alias("arus.MemberIdentity")]
public sealed record MemberIdentity(string MemberId, string? GroupInstanceId, int GenerationId);

/// <param name="RequireKnownMemberId">KIP-394: a new dynamic member is first given an id, with <see cref="ErrorCode.MemberIdRequired"/>.</param>
/// <param name="Protocols">In order of preference.</param>
[GenerateSerializer, Immutable, Alias("arus.JoinGroupCommand")]
public sealed record JoinGroupCommand(
    string MemberId, string? GroupInstanceId, bool RequireKnownMemberId, string ClientId, string ClientHost,
    int SessionTimeoutMs, int RebalanceTimeoutMs, string ProtocolType, GroupProtocol[] Protocols, string? Reason, bool SupportsSkippingAssignment);

/// <param name="Metadata">The member's subscription in Kafka's embedded consumer format; opaque to the coordinator.</param>
[GenerateSerializer, Immutable, Alias("arus.GroupProtocol")]
public sealed record GroupProtocol(string Name, ReadOnlyMemory<byte> Metadata);

/// <param name="Pending">The rebalance goes on: join again with <paramref name="MemberId"/>.</param>
/// <param name="Members">Filled for the leader only.</param>
/// <param name="SkipAssignment">KIP-814: a static leader that returned must not compute a new assignment.</param>
[GenerateSerializer, Immutable, Alias("arus.JoinGroupResult")]
public sealed record JoinGroupResult(
    ErrorCode Error, bool Pending, string MemberId, int GenerationId, string? ProtocolType, string? ProtocolName, string LeaderId,
    bool SkipAssignment, JoinedMember[] Members);

[GenerateSerializer, Immutable, Alias("arus.JoinedMember")]
public sealed record JoinedMember(string MemberId, string? GroupInstanceId, ReadOnlyMemory<byte> Metadata);

/// <param name="Assignments">From the leader only.</param>
[GenerateSerializer, Immutable, Alias("arus.SyncGroupCommand")]
public sealed record SyncGroupCommand(
    MemberIdentity Member, string? ProtocolType, string? ProtocolName, MemberAssignment[] Assignments);

[GenerateSerializer, Immutable, Alias("arus.MemberAssignment")]
public sealed record MemberAssignment(string MemberId, ReadOnlyMemory<byte> Assignment);

/// <param name="Pending">The leader has not decided yet: sync again.</param>
[GenerateSerializer, Immutable, Alias("arus.SyncGroupResult")]
public sealed record SyncGroupResult(
    ErrorCode Error, bool Pending, string? ProtocolType, string? ProtocolName, ReadOnlyMemory<byte> Assignment);

/// <param name="Member">A generation of -1 with an empty member id commits for a group without members ("simple" consumers, tools).</param>
/// <param name="RetentionMs">-1 for the broker's <c>offsets.retention.minutes</c>.</param>
[GenerateSerializer, Immutable, Alias("arus.CommitOffsetsCommand")]
public sealed record CommitOffsetsCommand(MemberIdentity Member, long RetentionMs, CommittedOffset[] Offsets);

/// <param name="Metadata">Never null; a null from the wire is stored as "".</param>
[GenerateSerializer, Immutable, Alias("arus.CommittedOffset")]
public readonly record struct CommittedOffset(TopicPartition Partition, long Offset, int LeaderEpoch, string Metadata);

/// <param name="State">Kafka's names: Empty, PreparingRebalance, CompletingRebalance, Stable, Dead.</param>
[GenerateSerializer, Immutable, Alias("arus.GroupDescription")]
public sealed record GroupDescription(
    ErrorCode Error, string GroupId, string State, int GenerationId, string ProtocolType, string ProtocolName, int CoordinatorBrokerId, GroupMemberDescription[] Members);

[GenerateSerializer, Immutable, Alias("arus.GroupMemberDescription")]
public sealed record GroupMemberDescription(
    string MemberId, string? GroupInstanceId, string ClientId, string ClientHost, ReadOnlyMemory<byte> Metadata, ReadOnlyMemory<byte> Assignment);
