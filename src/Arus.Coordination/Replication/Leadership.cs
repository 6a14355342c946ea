namespace Arus.Coordination.Replication;

/// <summary>One epoch in which this broker leads a partition.</summary>
internal sealed class Leadership(int epoch, long epochStart)
{
    private const int FirstDoubtMs = 1_000;
    private const int MaxDoubts = 6;

    private long _doubtAtMs;
    private int _doubts;

    public int Epoch { get; } = epoch;

    /// <summary>The log's end when the epoch began.</summary>
    public long EpochStart { get; } = epochStart;

    public FollowerLink[] Links { get; private set; } = [];

    /// <summary>The durable end as of the last look: who had that was caught up until then.</summary>
    public long LastDurableEnd { get; set; } = epochStart;

    /// <summary>Since when a swap is missing without which nothing is committed; -1 for none is.</summary>
    public long NeedsSwapSinceMs { get; set; } = -1;

    /// <summary>
    /// A follower stands, or stood, for a later epoch, and does not know whether it was elected: the same state as a new version settles
    /// that for both, also when the follower does not reach the database.
    /// </summary>
    public bool IsDoubted { get; set; }

    public LeadershipMove? Move { get; set; }

    /// <summary>To whom it is to go once moves that are under way have ended; -1 for nobody.</summary>
    public int WantedTarget { get; set; } = -1;

    /// <summary>It is to go to somebody else, as soon as somebody can take it.</summary>
    public bool IsToMove { get; set; }

    public FollowerLink? Link(int brokerId)
    {
        foreach (FollowerLink link in Links)
        {
            if (link.Peer.BrokerId == brokerId)
                return link;
        }

        return null;
    }

    /// <summary>A follower refused a session for the sake of a later epoch. Counts at growing intervals, since that may go on.</summary>
    /// <returns>Whether the state is to be written again.</returns>
    public bool Doubt(int laterEpoch, long nowMs)
    {
        if (laterEpoch <= Epoch || nowMs < _doubtAtMs)
            return false;

        _doubtAtMs = nowMs + ((long)FirstDoubtMs << Math.Min(_doubts++, MaxDoubts));
        return IsDoubted = true;
    }

    public bool IsDropped(FollowerLink link) => Array.IndexOf(Links, link) < 0;

    /// <summary>Keeps the links of brokers that are still followers and makes those of new ones.</summary>
    public void SetFollowers(IEnumerable<int> brokers, Func<int, FollowerLink> make) =>
        Links = [.. brokers.Select(broker => Link(broker) ?? make(broker))];
}

/// <summary>A leadership that is on its way to another broker.</summary>
internal sealed class LeadershipMove(int target, long deadlineMs)
{
    public int Target { get; } = target;

    public long DeadlineMs { get; } = deadlineMs;

    public bool IsProposed { get; set; }
}
