namespace Arus.Client;

/// <summary>The identity that the requests of a group member carry.</summary>
/// <param name="MemberId">Given by the coordinator; empty before that.</param>
/// <param name="GroupInstanceId"><c>group.instance.id</c>; not null for a static member (KIP-345).</param>
/// <param name="GenerationId">The generation that the member belongs to; -1 for none.</param>
internal sealed record MemberIdentity(string MemberId, string? GroupInstanceId, int GenerationId);

/// <summary>An offset that a group has committed: of the next record to read.</summary>
/// <param name="Offset">-1 where none is committed.</param>
/// <param name="LeaderEpoch">Of the last record that was read; -1 for unknown.</param>
/// <param name="Metadata">A note of the committer; "" for none.</param>
public readonly record struct CommittedOffset(TopicPartition Partition, long Offset, int LeaderEpoch, string Metadata);

/// <summary>A group as its coordinator describes it.</summary>
/// <param name="State">Kafka's names: Empty, PreparingRebalance, CompletingRebalance, Stable.</param>
/// <param name="ProtocolType">"consumer" for consumers; "" for a group that never had members.</param>
/// <param name="ProtocolName">The assignor that the members agreed upon; "" unless the group is Stable.</param>
/// <param name="CoordinatorBrokerId">The broker on which the coordinator runs.</param>
public sealed record GroupDescription(
    string GroupId, string State, int GenerationId, string ProtocolType, string ProtocolName, int CoordinatorBrokerId,
    IReadOnlyList<GroupMemberDescription> Members);

/// <param name="Metadata">The member's subscription, in Kafka's format of the protocol type.</param>
/// <param name="Assignment">The member's assignment, likewise.</param>
public sealed record GroupMemberDescription(
    string MemberId, string? GroupInstanceId, string ClientId, string ClientHost, ReadOnlyMemory<byte> Metadata,
    ReadOnlyMemory<byte> Assignment);

/// <summary>A consumer's place in its group, by which commits of members that have lost their partitions are refused (KIP-447).</summary>
/// <param name="MemberId">Empty outside of the group.</param>
/// <param name="GroupInstanceId">Of a static member; otherwise null.</param>
/// <param name="GenerationId">-1 outside of the group.</param>
public sealed record ConsumerGroupMetadata(string GroupId, string MemberId, string? GroupInstanceId, int GenerationId);
