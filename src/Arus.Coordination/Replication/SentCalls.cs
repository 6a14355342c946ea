namespace Arus.Coordination.Replication;

internal enum PushKind
{
    Data,
    Watermarks,
    Heartbeat,
}

/// <summary>A push on its way; the links in the order of its partitions.</summary>
/// <param name="CatchUpBytes">What was granted for replicas that are not in sync; 0 where none is among them.</param>
internal sealed record SentPush(Peer Peer, PushKind Kind, long SentMs, FollowerLink?[] Links, int CatchUpBytes);

/// <summary>Sessions on their way.</summary>
internal sealed record SentSessions(Peer Peer, FollowerLink[] Links);
