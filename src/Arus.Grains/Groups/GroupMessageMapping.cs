using Arus.Coordination;

namespace Arus.Grains;

/// <summary>Between the messages of <see cref="IGroupGrain"/> and those of the state machine, which knows no Orleans.</summary>
internal static class GroupMessageMapping
{
    public static MemberRef ToMember(this MemberIdentity member) => new(member.MemberId, member.GroupInstanceId, member.GenerationId);

    public static JoinRequest ToRequest(this JoinGroupCommand command) => new(
        command.MemberId, command.GroupInstanceId, command.RequireKnownMemberId, command.ClientId, command.ClientHost,
        command.SessionTimeoutMs, command.RebalanceTimeoutMs, command.ProtocolType,
        Array.ConvertAll(command.Protocols, protocol => new ProtocolChoice(protocol.Name, protocol.Metadata)), command.SupportsSkippingAssignment);

    public static SyncRequest ToRequest(this SyncGroupCommand command) => new(
        command.Member.ToMember(), command.ProtocolType, command.ProtocolName,
        Array.ConvertAll(command.Assignments, given => new KeyValuePair<string, ReadOnlyMemory<byte>>(given.MemberId, given.Assignment)));

    public static JoinGroupResult ToResult(this JoinReply reply) => new(
        reply.Error, reply.Pending, reply.MemberId, reply.Generation, reply.ProtocolType, reply.ProtocolName, reply.LeaderId, reply.SkipAssignment,
        [.. reply.Members.Select(member => new JoinedMember(member.MemberId, member.InstanceId, member.Metadata))]);

    public static SyncGroupResult ToResult(this SyncReply reply) =>
        new(reply.Error, reply.Pending, reply.ProtocolType, reply.ProtocolName, reply.Assignment);

    public static OffsetToCommit ToCommit(this CommittedOffset offset) =>
        new(offset.Partition, offset.Offset, offset.LeaderEpoch, offset.Metadata);

    public static CommittedOffset[] ToResult(this OffsetsReply reply) =>
        [.. reply.Offsets.Select(entry => entry.Value is { } offset
            ? new CommittedOffset(entry.Key, offset.Offset, offset.LeaderEpoch, offset.Metadata)
            : new CommittedOffset(entry.Key, -1, -1, ""))];

    public static GroupDescription ToDescription(this GroupSummary group, string groupId, int brokerId) => new(
        group.State == GroupState.Dead ? ErrorCode.GroupIdNotFound : ErrorCode.None, groupId, group.State.ToString(), group.Generation,
        group.ProtocolType, group.ProtocolName, brokerId,
        [.. group.Members.Select(member => new GroupMemberDescription(
            member.MemberId, member.InstanceId, member.ClientId, member.ClientHost, member.Metadata, member.Assignment))]);
}
