namespace Arus.Coordination;

/// <summary>One member of a group, as its coordinator sees it.</summary>
internal sealed class GroupMember(string memberId, string? instanceId, string clientId, string clientHost)
{
    public const long Never = long.MaxValue;

    public string MemberId { get; set; } = memberId;

    public string? InstanceId { get; } = instanceId;

    public string ClientId { get; set; } = clientId;

    public string ClientHost { get; set; } = clientHost;

    public int SessionTimeoutMs { get; set; }

    public int RebalanceTimeoutMs { get; set; }

    public IReadOnlyList<ProtocolChoice> Protocols { get; set; } = [];

    public ReadOnlyMemory<byte> Assignment { get; set; }

    /// <summary>Has joined the generation that is being prepared, whether or not a call of it waits at this moment.</summary>
    public bool Joined { get; set; }

    /// <summary>Has its join reply, and has not asked for its assignment yet.</summary>
    public bool MustSync { get; set; }

    public Waiter? Join { get; set; }

    public Waiter? Sync { get; set; }

    /// <summary>When the member is given up, unless it is heard of; <see cref="Never"/> while one of its calls waits here.</summary>
    public long SessionDeadline { get; set; } = Never;

    public bool IsWaiting => Join is not null || Sync is not null;

    public ReadOnlyMemory<byte> MetadataFor(string protocolName)
    {
        foreach (ProtocolChoice protocol in Protocols)
        {
            if (protocol.Name == protocolName)
            {
                return protocol.Metadata;
            }
        }

        return default;
    }

    public bool Supports(string protocolName)
    {
        foreach (ProtocolChoice protocol in Protocols)
        {
            if (protocol.Name == protocolName)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The same protocols with the same metadata, in the same order.</summary>
    public bool Matches(IReadOnlyList<ProtocolChoice> protocols)
    {
        if (protocols.Count != Protocols.Count)
        {
            return false;
        }

        for (int i = 0; i < protocols.Count; i++)
        {
            if (protocols[i].Name != Protocols[i].Name || !protocols[i].Metadata.Span.SequenceEqual(Protocols[i].Metadata.Span))
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>A call that waits for others.</summary>
/// <param name="AnswerBy">When it is told to ask again.</param>
internal sealed record Waiter(long Token, long AnswerBy);
