using System.Collections.Concurrent;

namespace Arus.Coordination.Replication;

/// <summary>
/// Until when each other broker has promised not to take over partitions of this one. The machine writes it; any thread may read it,
/// so that a lease which is renewed for thousands of partitions at once costs one write.
/// </summary>
public sealed class LeaseTable
{
    private readonly ConcurrentDictionary<int, long> _until = new();

    /// <summary>
    /// Until then, in Unix milliseconds, a leader may say that an offset is out of range, the latest, or an epoch's end. Later it still
    /// serves records below its high watermark. 0 for what is no leader.
    /// </summary>
    public long VerdictsUntilMs(ReplicaView view)
    {
        if (view.Role != ReplicaRole.Leader || !view.GivesVerdicts)
            return 0;

        long until = long.MaxValue;
        foreach (int broker in view.LeasesNeeded)
            until = Math.Min(until, UntilMs(broker));

        return until;
    }

    /// <summary>Until when that broker's promise holds; 0 for never.</summary>
    public long UntilMs(int brokerId) => _until.GetValueOrDefault(brokerId);

    internal void Extend(int brokerId, long untilMs)
    {
        if (untilMs > UntilMs(brokerId))
            _until[brokerId] = untilMs;
    }
}
