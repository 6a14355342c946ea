using System.Collections.Concurrent;

namespace Arus.Coordination.Replication;

/// <summary>
/// Until when each other broker has promised not to take over partitions of this one, and this one has promised the same. The machine
/// writes it; any thread may read it, so that a lease which is renewed for thousands of partitions at once costs one write.
/// </summary>
public sealed class LeaseTable
{
    private readonly ConcurrentDictionary<int, long> _until = new();
    private readonly ConcurrentDictionary<int, long> _granted = new();

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

    /// <summary>
    /// Until when this broker's own promise to that one holds; 0 for never. It is renewed by whatever comes from that broker, so it tells
    /// how old at most is what this one knows of the partitions that the other leads.
    /// </summary>
    public long GrantedUntilMs(int brokerId) => _granted.GetValueOrDefault(brokerId);

    internal void Grant(int brokerId, long untilMs) => _granted[brokerId] = untilMs;

    internal void Extend(int brokerId, long untilMs)
    {
        if (untilMs > UntilMs(brokerId))
            _until[brokerId] = untilMs;
    }
}
