using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>
/// Who is in sync. Out goes who is declared dead, has another log, is no replica any more, answers heartbeats and lags all the same, or
/// has not answered this broker for as long while enough others do; in comes who has reached the high watermark and the epoch's start.
/// </summary>
internal sealed class IsrKeeper(ReplicationContext context, SwapKeeper swaps)
{
    private const int LagCheckMs = 1_000;

    /// <summary>Of the members that stay without one that is silent, the leader included.</summary>
    private const int LeastAnswering = 2;

    /// <summary>The follower would be a member from now on.</summary>
    public bool MayGrow(FollowerLink link)
    {
        Replica replica = link.Replica;
        return link.IsOpen && link.Peer.IsLive && link.EndOffset >= replica.HighWatermark
            && link.EndOffset >= replica.Leadership!.EpochStart && replica.State.IsAssigned(link.Peer.BrokerId)
            && !replica.State.Isr.Contains(link.Member) && !LagsTooLong(link);
    }

    /// <returns>False if a swap without which nothing is committed is missing for too long.</returns>
    public bool Consider(Replica replica)
    {
        Leadership leadership = replica.Leadership!;
        if (replica.State.IsShared)
            return true;

        ImmutableArray<ReplicaId> isr = Desired(replica);
        PartitionState proposed = Reassigned(replica, isr) is { } completed
            ? completed
            : replica.State.WithIsr(isr, replica.EffectiveMin, member => HasAnotherLog(leadership, member));
        bool isSame = proposed.HasMembersOf(replica.State) && proposed.Target.Length == replica.State.Target.Length;
        if (!HasPatience(replica, isr))
            return false;

        if ((isSame && !replica.Swap.IsUnsettled && !leadership.IsDoubted) || replica.Swap.IsInFlight)
            return true;

        if (context.NowMs < replica.Swap.RetryAtMs)
            context.Timers.Arm(replica, replica.Swap.RetryAtMs);
        else
            swaps.Propose(replica, proposed);

        return true;
    }

    /// <summary>
    /// The state without its reassignment, if all who are new are in sync, and enough of those who are to keep the partition. A leader that
    /// is not to keep it stays in the isr until somebody else leads.
    /// </summary>
    private PartitionState? Reassigned(Replica replica, ImmutableArray<ReplicaId> isr)
    {
        PartitionState state = replica.State;
        ImmutableArray<int> target = state.Target;
        if (target.IsEmpty || !target.All(broker => state.Replicas.Contains(broker) || isr.NamesBroker(broker)))
            return null;

        int min = replica.MinOf(target.Length);
        if (isr.Count(member => target.Contains(member.BrokerId)) < min)
            return null;

        ImmutableArray<ReplicaId> kept =
            [.. isr.Where(member => target.Contains(member.BrokerId) || member.BrokerId == context.Self)];
        return (state with { Replicas = target, Target = [] }).WithIsr(kept, min);
    }

    /// <summary>A member that blocks what is committed has to leave, and the database may be out of reach.</summary>
    private bool HasPatience(Replica replica, ImmutableArray<ReplicaId> desired)
    {
        Leadership leadership = replica.Leadership!;
        bool isBlocked = replica.State.Isr.Any(member => !desired.Contains(member))
            || replica.Swap.Proposals.Exists(proposal => proposal.Isr.Any(member => !desired.Contains(member)));
        if (!isBlocked)
        {
            leadership.NeedsSwapSinceMs = -1;
            return true;
        }

        if (leadership.NeedsSwapSinceMs < 0)
            leadership.NeedsSwapSinceMs = context.NowMs;

        long dueMs = leadership.NeedsSwapSinceMs + context.Options.SwapPatienceMs;
        if (context.NowMs >= dueMs)
            return !leadership.Links.Any(link => link.IsOpen && link.Peer.IsLive && replica.IsSurelyInSync(link.Member));

        context.Timers.Arm(replica, dueMs);
        return true;
    }

    private ImmutableArray<ReplicaId> Desired(Replica replica)
    {
        PartitionState state = replica.State;
        Leadership leadership = replica.Leadership!;
        var isr = ImmutableArray.CreateBuilder<ReplicaId>();
        foreach (ReplicaId member in state.Isr)
        {
            if (member.BrokerId == context.Self || Stays(replica, leadership, member))
                isr.Add(member);
        }

        foreach (FollowerLink link in leadership.Links)
        {
            if (MayGrow(link))
                isr.Add(link.Member);
        }

        // Who is no replica any more leaves once enough others are in sync.
        for (int i = isr.Count - 1; i >= 0; i--)
        {
            bool isStranger = !state.IsAssigned(isr[i].BrokerId) && isr[i].BrokerId != context.Self;
            if (isStranger && isr.Count > replica.EffectiveMin)
                isr.RemoveAt(i);
        }

        return isr.DrainToImmutable();
    }

    private bool Stays(Replica replica, Leadership leadership, ReplicaId member)
    {
        if (leadership.Link(member.BrokerId) is not { } link || !link.Peer.IsLive || (link.IsOpen && link.LogId != member.LogId))
            return false;

        if (link.IsOpen && !link.IsBehind)
            return true;

        long lagEndMs = Math.Max(link.CaughtUpMs, link.Peer.AnsweringSinceMs) + context.Options.LagTimeMaxMs;
        if (!link.Peer.IsSilent && context.NowMs <= lagEndMs)
        {
            context.Timers.Arm(replica, lagEndMs + 1);
            return true;
        }

        // It answers and lags, or it is this broker alone that does not hear from it.
        if (link.Peer.IsSilent ? EnoughAnswer(replica, leadership) : Answers(link.Peer))
            return false;

        context.Timers.Arm(replica, context.NowMs + LagCheckMs);
        return true;
    }

    private bool Answers(Peer peer) => peer.AnsweredMs >= context.NowMs - (3L * context.Options.HeartbeatMs);

    /// <summary>
    /// Those who stay can commit without who is silent. This broker must not make itself the only member, since it may be the one that is
    /// cut off. Nor are verdicts given before the swap is won: they need the lease of whoever is in the isr.
    /// </summary>
    private bool EnoughAnswer(Replica replica, Leadership leadership)
    {
        int count = 1;
        foreach (FollowerLink link in leadership.Links)
        {
            if (link.IsOpen && Answers(link.Peer) && (replica.State.Isr.Contains(link.Member) || MayGrow(link)))
                count++;
        }

        return count >= Math.Max(LeastAnswering, replica.EffectiveMin);
    }

    /// <summary>It would have to leave at once: the high watermark that it has reached stands still while too few are in sync.</summary>
    private bool LagsTooLong(FollowerLink link) => link.IsBehind && context.NowMs > link.CaughtUpMs + context.Options.LagTimeMaxMs;

    private static bool HasAnotherLog(Leadership leadership, ReplicaId member) =>
        leadership.Link(member.BrokerId) is { IsOpen: true } link && link.LogId != member.LogId;
}
