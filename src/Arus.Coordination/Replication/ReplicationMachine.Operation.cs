namespace Arus.Coordination.Replication;

/// <summary>What an operator asks for.</summary>
public sealed partial class ReplicationMachine
{
    /// <summary>
    /// Move the leadership of a partition to an in-sync replica; gives up if that does not catch up in time. A bounded number at once.
    /// </summary>
    public void MoveLeadership(PartitionId id, int target, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
            _moves.Enqueue(replica, target);

        End();
    }

    /// <summary>The broker is about to stop: every leadership moves to somebody in sync, as far as there is one.</summary>
    public void Drain(long nowMs)
    {
        Begin(nowMs);
        _context.IsDraining = true;
        _catalog.TouchAll();
        _moves.EnqueueAll();
        End();
    }

    /// <summary>
    /// Who was out of sync may lead the partition, if nobody else can: records may be lost. It holds until the partition has had another
    /// leader.
    /// </summary>
    public void AllowUncleanElection(PartitionId id, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            replica.UncleanAfterEpoch = replica.State.LeaderEpoch;
            _context.Touch(replica);
        }

        End();
    }
}
