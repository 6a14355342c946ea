using System.Collections.Immutable;
using System.Diagnostics;

namespace Arus.Coordination.Replication;

/// <summary>
/// Sees that every partition has a leader: the first live member of the isr, else of the elr, proposes itself, each further one later.
/// The order is: refuse older leaders, let the old leader's lease run out, win the swap, make the fence durable, read the end, serve.
/// </summary>
internal sealed class Elections(ReplicationContext context, SwapKeeper swaps, LeaderRole leaders, CallAnswers answers)
{
    private const int StaleCheckMs = 1_000;
    private const int StaleReportMs = 10_000;
    private const int OpeningPatienceMs = 1_000;

    private readonly List<int> _order = [];

    /// <summary>Looks at a partition that this broker does not lead.</summary>
    public void Reconcile(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.IsDeleted || !context.Peers.IsSelfLive)
            return;

        if (state.Leader == context.Self && state.LeaderEpoch > replica.RetiredEpoch && BeginLeading(replica))
            return;

        if (!IsLeaderless(replica))
        {
            replica.LeaderlessSinceMs = -1;
            if (!replica.Swap.IsInFlight && !replica.Swap.IsUnsettled)
                replica.CandidateEpoch = -1;
            else if (!replica.Swap.IsInFlight)
                Settle(replica);

            return;
        }

        if (replica.LeaderlessSinceMs < 0)
            replica.LeaderlessSinceMs = context.NowMs;

        if (replica.Swap.IsInFlight)
            return;

        if (context.NowMs < replica.Swap.RetryAtMs)
            context.Timers.Arm(replica, replica.Swap.RetryAtMs);
        else
            Stand(replica);
    }

    /// <summary>
    /// A candidacy of which nothing was heard may still succeed, though the leader is back: the same state as a new version ends that.
    /// </summary>
    private void Settle(Replica replica)
    {
        if (context.NowMs < replica.Swap.RetryAtMs)
            context.Timers.Arm(replica, replica.Swap.RetryAtMs);
        else
            swaps.Propose(replica, replica.State);
    }

    private bool IsLeaderless(Replica replica)
    {
        PartitionState state = replica.State;
        return state.Leader < 0 || state.Leader == context.Self || replica.ResignedEpoch == state.LeaderEpoch
            || !context.Peers.IsLive(state.Leader);
    }

    /// <summary>Does the next step of a leadership that the state gives to this broker.</summary>
    /// <returns>False if this broker cannot take it.</returns>
    private bool BeginLeading(Replica replica)
    {
        PartitionState state = replica.State;
        if (replica.Log is not { } log)
        {
            if (replica.Phase != LogPhase.Closed || replica.LogFailures == 0)
                return true;
        }
        else if (state.IsShared)
        {
            if (replica.OpenedEpoch == state.LeaderEpoch)
                leaders.Lead(replica);

            return true;
        }
        else if (state.Isr.Contains(new ReplicaId(context.Self, log.LogId)) && log.FencedEpoch <= state.LeaderEpoch)
        {
            if (replica.Operation == LogOperation.None)
            {
                replica.Operation = LogOperation.PrepareToLead;
                replica.PreparedEpoch = state.LeaderEpoch;
                replica.SessionEpoch = -1;
                answers.Retract(replica);
                context.Emit(new ReplicationEffect.Prepare(replica.Id, state.LeaderEpoch, -1, -1, false));
            }

            return true;
        }

        replica.RetiredEpoch = state.LeaderEpoch;
        return false;
    }

    /// <summary>The fence is durable: whoever leads in this epoch by the state begins to.</summary>
    public void Prepared(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.Leader == context.Self && state.LeaderEpoch == replica.PreparedEpoch && state.LeaderEpoch > replica.RetiredEpoch
            && replica.WaitingOffer is null)
            leaders.Lead(replica);
    }

    private void Stand(Replica replica)
    {
        PartitionState state = replica.State;
        int turn = Turn(replica, out ImmutableArray<ReplicaId> isr, out bool isUnclean);
        if (turn < 0)
        {
            replica.CandidateEpoch = -1;
            GiveUp(replica);
            return;
        }

        if (IsStateStale(replica))
            return;

        // Leaders below are refused before the lease runs out and before the end is read.
        if (turn == 0 && !state.IsShared)
            replica.CandidateEpoch = state.LeaderEpoch + 1;

        long dueMs = Math.Max(replica.LeaderlessSinceMs, LeaseEndMs(replica)) + ((long)turn * context.Options.ElectionStaggerMs);
        if (context.NowMs < dueMs)
        {
            context.Timers.Arm(replica, dueMs);
            return;
        }

        replica.CandidateEpoch = state.LeaderEpoch + 1;
        PartitionState proposed = state.IsShared ? state
            : isUnclean ? state with { Isr = isr, Elr = [], IsUnclean = true }
            : state.WithIsr(isr, replica.EffectiveMin);
        Debug.Assert(state.IsShared || !proposed.Isr.IsEmpty, "The isr is never emptied.");
        if (state.Leader >= 0 && state.Leader != context.Self && replica.Challenged is null)
        {
            replica.Challenged = context.Peers.Get(state.Leader);
            replica.Challenged.Challenges++;
        }

        swaps.Propose(replica, proposed with { Leader = context.Self, LeaderEpoch = state.LeaderEpoch + 1 });
    }

    /// <summary>
    /// A newer leader than the state tells of has fenced this log: the state will be learnt. If it never is, the database has lost it, and
    /// who would be elected by what is left could be given an epoch that another had.
    /// </summary>
    private bool IsStateStale(Replica replica)
    {
        if (replica.Log is not { } log || (log.FencedEpoch <= replica.State.LeaderEpoch && replica.PreparingOffer is null))
            return false;

        bool isLost = context.NowMs >= replica.LeaderlessSinceMs + StaleReportMs;
        if (isLost && !replica.IsStaleReported)
        {
            replica.IsStaleReported = true;
            context.Report(replica, $"its log here has followed epoch {log.FencedEpoch}, the database knows of none after "
                + $"{replica.State.LeaderEpoch}: it has lost changes, and no leader is elected; see `arus cluster restore-metadata`");
        }

        context.Timers.Arm(replica, context.NowMs + StaleCheckMs);
        return true;
    }

    /// <summary>Until when this broker has promised the old leader not to take over.</summary>
    private long LeaseEndMs(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.Leader < 0 || state.Leader == context.Self || state.IsShared || replica.ResignedEpoch == state.LeaderEpoch)
            return 0;

        return context.Peers.Get(state.Leader).GrantedUntilMs;
    }

    /// <summary>
    /// This broker is named as leader but cannot lead: others are told so. While its log is only being opened it waits a while, and for as
    /// long as it takes if nobody else could lead.
    /// </summary>
    private void GiveUp(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.Leader != context.Self)
            return;

        bool isOpening = replica.Phase is LogPhase.Queued or LogPhase.Opening && !state.IsShared;
        if (isOpening && !state.Isr.Any(IsOtherAndLive) && !state.Elr.Any(IsOtherAndLive))
            return;

        long dueMs = replica.LeaderlessSinceMs + OpeningPatienceMs;
        if (isOpening && context.NowMs < dueMs)
            context.Timers.Arm(replica, dueMs);
        else
            swaps.Propose(replica, state with { Leader = -1 });
    }

    /// <returns>How many others are to try before this broker; -1 if it may not.</returns>
    private int Turn(Replica replica, out ImmutableArray<ReplicaId> isr, out bool isUnclean)
    {
        isr = [];
        isUnclean = false;
        PartitionState state = replica.State;
        if (context.IsDraining)
            return -1;

        if (state.IsShared)
            return SharedTurn(replica);

        if (replica.Log is not { } log || !replica.IsReplica(context.Self))
            return -1;

        var self = new ReplicaId(context.Self, log.LogId);
        if (state.LeaderEpoch < 0 && state.Isr.IsEmpty)
        {
            isr = [self];
            return LiveReplicas(state).IndexOf(context.Self);
        }

        bool isInIsr = state.Isr.Contains(self);
        if (isInIsr || state.Elr.Contains(self))
        {
            isr = isInIsr ? [.. state.Isr.Where(member => member == self || IsOtherAndLive(member))] : [self];
            return Candidates(replica).IndexOf(context.Self);
        }

        return UncleanTurn(replica, log, self, out isr, out isUnclean);
    }

    private bool IsOtherAndLive(ReplicaId member) => member.BrokerId != context.Self && context.Peers.IsLive(member.BrokerId);

    private int UncleanTurn(Replica replica, IReplicaLog log, ReplicaId self, out ImmutableArray<ReplicaId> isr, out bool isUnclean)
    {
        PartitionState state = replica.State;
        isr = [self];
        isUnclean = true;

        // A log that never took part has nothing: with it the partition would begin anew.
        if (!replica.AllowsUncleanElection || log.FencedEpoch < 0 || state.Isr.Any(IsOtherAndLive) || state.Elr.Any(IsOtherAndLive))
            return -1;

        int turn = LiveReplicas(state).IndexOf(context.Self);
        return turn < 0 ? -1 : turn + 1;
    }

    private int SharedTurn(Replica replica)
    {
        if (context.NowMs < replica.ReopenAtMs)
        {
            context.Timers.Arm(replica, replica.ReopenAtMs);
            return -1;
        }

        List<int> order = LiveReplicas(replica.State);
        order.AddRange(context.Peers.LiveBrokers().Where(broker => !replica.State.Replicas.Contains(broker)));
        return order.IndexOf(context.Self);
    }

    private List<int> LiveReplicas(PartitionState state)
    {
        _order.Clear();
        foreach (int broker in state.Replicas)
        {
            if (context.Peers.IsLive(broker))
                _order.Add(broker);
        }

        return _order;
    }

    /// <summary>
    /// Live members of the isr, then of the elr, each in the order of the replicas. A leader that resigned comes last; one that
    /// was restarted first, since the others do not stand while it lives.
    /// </summary>
    private List<int> Candidates(Replica replica)
    {
        PartitionState state = replica.State;
        _order.Clear();
        AddMembers(state, state.Isr);
        AddMembers(state, state.Elr);
        if (replica.ResignedEpoch == state.LeaderEpoch && _order.Remove(state.Leader))
            _order.Add(state.Leader);
        else if (state.Leader == context.Self && _order.Remove(context.Self))
            _order.Insert(0, context.Self);

        return _order;
    }

    private void AddMembers(PartitionState state, ImmutableArray<ReplicaId> members)
    {
        foreach (int broker in state.Replicas)
        {
            if (members.NamesBroker(broker) && context.Peers.IsLive(broker) && !_order.Contains(broker))
                _order.Add(broker);
        }

        foreach (ReplicaId member in members)
        {
            if (context.Peers.IsLive(member.BrokerId) && !_order.Contains(member.BrokerId))
                _order.Add(member.BrokerId);
        }
    }
}
