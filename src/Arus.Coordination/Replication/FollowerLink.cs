namespace Arus.Coordination.Replication;

internal enum LinkPhase
{
    /// <summary>No session; one is asked for when the broker lives and the retry is due.</summary>
    Idle,
    Queued,
    Opening,
    Open,
}

internal enum DataTurn
{
    None,

    /// <summary>Behind those in sync, and bounded.</summary>
    CatchUp,
    InSync,
}

/// <summary>What a leader knows of one follower.</summary>
internal sealed class FollowerLink(Replica replica, Leadership leadership, Peer peer, long nowMs)
{
    public Replica Replica { get; } = replica;

    public Leadership Leadership { get; } = leadership;

    public Peer Peer { get; } = peer;

    public LinkPhase Phase { get; set; }

    /// <summary>The call that opens the session or carries the push which is under way; 0 for none.</summary>
    public long Call { get; set; }

    public long Opening { get; set; }

    /// <summary>The log that the follower had when the session was opened.</summary>
    public Guid LogId { get; set; }

    /// <summary>The follower's durable end; counts in an open session only.</summary>
    public long EndOffset { get; set; } = -1;

    /// <summary>A push is under way, or its durable end is still to come.</summary>
    public bool IsPushing { get; set; }

    /// <summary>The leader's durable end and the time when the push was sent.</summary>
    public long EndAtPush { get; set; }

    public long PushedAtMs { get; set; }

    public long SentWatermark { get; set; } = -1;

    public long SentLogStart { get; set; } = -1;

    /// <summary>Where the link waits to be sent records.</summary>
    public DataTurn DataTurn { get; set; }

    public bool IsWatermarkQueued { get; set; }

    /// <summary>Until when the follower had all that the leader had.</summary>
    public long CaughtUpMs { get; set; } = nowMs;

    public long RetryAtMs { get; set; }

    /// <summary>Until then no records are pushed: the last push brought none though the follower is behind.</summary>
    public long OfferAtMs { get; set; }

    public int Failures { get; set; }

    public bool IsOver => Replica.Leadership != Leadership || Leadership.IsDropped(this);

    public bool IsOpen => Phase == LinkPhase.Open;

    public ReplicaId Member => new(Peer.BrokerId, LogId);

    public bool IsBehind => EndOffset < Replica.Log!.DurableEndOffset;
}
