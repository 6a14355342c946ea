namespace Arus.Coordination.Replication;

/// <summary>Which followers are sent records within the budget of catching up, and when.</summary>
internal sealed class CatchUps(ReplicationContext context)
{
    /// <summary>
    /// Whether a follower is to leave room for others: it is not in sync, nor about to be, and the partition has what it needs without it.
    /// </summary>
    public static bool IsCatchingUp(FollowerLink link)
    {
        Replica replica = link.Replica;
        return !replica.State.Isr.Contains(link.Member) && replica.SurelyInSync() >= replica.EffectiveMin
            && !replica.Swap.Proposals.Exists(proposal => proposal.Isr.Contains(link.Member));
    }

    /// <summary>
    /// Whether a broker may be sent what the next follower in the queue lacks. It has a grant then; otherwise it looks again later.
    /// </summary>
    public bool MayGo(Peer peer)
    {
        while (peer.CatchUpQueue.TryPeek(out FollowerLink? link) && link.DataTurn != DataTurn.CatchUp)
            peer.CatchUpQueue.Dequeue();

        if (peer.CatchUpQueue.Count == 0 || peer.IsCatchUpInFlight)
            return false;

        if (peer.CatchUpBytes == 0)
            peer.CatchUpBytes = context.CatchUp.Take(context.NowMs);

        if (peer.CatchUpBytes == 0)
            context.Timers.Arm(peer, context.CatchUp.DueMs(context.NowMs));

        return peer.CatchUpBytes > 0;
    }
}
