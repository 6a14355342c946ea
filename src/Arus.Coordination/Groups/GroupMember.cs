using Arus.Protocol;
using MemberProtocol = Arus.Protocol.JoinGroupRequest.JoinGroupRequestProtocol;

namespace Arus.Coordination;

/// <summary>One member of a group, as its coordinator sees it.</summary>
internal sealed class GroupMember(string memberId, string? instanceId)
{
    public const long Never = long.MaxValue;

    public string MemberId { get; set; } = memberId;

    /// <summary>Not null for a static member (KIP-345).</summary>
    public string? InstanceId { get; } = instanceId;

    public string ClientId { get; set; } = "";

    public string ClientHost { get; set; } = "";

    public int SessionTimeoutMs { get; set; }

    public int RebalanceTimeoutMs { get; set; }

    /// <summary>The assignors that the member supports, in order of preference, with its subscription in the format of each.</summary>
    public MemberProtocol[] Protocols { get; set; } = [];

    public ReadOnlyMemory<byte> Assignment { get; set; }

    /// <summary>Has joined the generation that is being prepared, whether or not a call of it waits at this moment.</summary>
    public bool Joined { get; set; }

    /// <summary>Has its join response, and has not asked for its assignment yet.</summary>
    public bool MustSync { get; set; }

    /// <summary>The member's join or sync that waits for other members.</summary>
    public WaitingCall? Waiting { get; set; }

    /// <summary>When the session ends; <see cref="Never"/> while a call of the member waits here.</summary>
    public long SessionDeadline { get; set; } = Never;

    public long NextDeadline => Math.Min(SessionDeadline, Waiting?.Deadline ?? Never);

    /// <summary>About what the member takes in memory and in storage, without its assignment.</summary>
    public long SizeInBytes => ClientId.Length + (InstanceId?.Length ?? 0) + SizeOf(Protocols);

    public static long SizeOf(MemberProtocol[] protocols) =>
        protocols.Sum(protocol => protocol.Name.Length + (long)protocol.Metadata.Length);

    public bool Supports(string protocolName) => Find(protocolName) is not null;

    public ReadOnlyMemory<byte> MetadataFor(string protocolName) => Find(protocolName)?.Metadata ?? default;

    /// <summary>The topics of a consumer; null for metadata of another format, which counts as a subscription to anything.</summary>
    public HashSet<string>? SubscribedTopics(string protocolName)
    {
        try
        {
            // The first version has the topics; what later ones append, or an assignor gets wrong in them, is not the coordinator's affair.
            string[] topics = DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(MetadataFor(protocolName), maxVersion: 0).Topics;
            return new HashSet<string>(topics, StringComparer.Ordinal);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The same protocols with the same metadata, in the same order.</summary>
    public bool Matches(MemberProtocol[] protocols) => protocols.Length == Protocols.Length && protocols.Zip(Protocols).All(
        pair => pair.First.Name == pair.Second.Name && pair.First.Metadata.Span.SequenceEqual(pair.Second.Metadata.Span));

    private MemberProtocol? Find(string name) => Array.Find(Protocols, protocol => protocol.Name == name);
}

/// <param name="IsJoin">Whether it is a join; otherwise it is a sync.</param>
/// <param name="Deadline">When the caller is told to repeat it.</param>
internal sealed record WaitingCall(long Call, bool IsJoin, long Deadline);
