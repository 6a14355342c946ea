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

    private readonly ElectionOrder _order = new(context);

    /// <summary>Partitions whose leader is no member by a reading that is older than its leadership.</summary>
    private readonly List<Replica> _awaitReading = [];

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

    /// <summary>The membership was read, by a reading that began then and after which all states are known.</summary>
    public void MembershipRead(long readMs)
    {
        context.Peers.ReadMs = readMs;
        _awaitReading.ForEach(context.Touch);
        _awaitReading.Clear();
    }

    private bool IsLeaderless(Replica replica)
    {
        PartitionState state = replica.State;
        if (state.Leader < 0 || state.Leader == context.Self || replica.ResignedEpoch == state.LeaderEpoch)
            return true;

        if (context.Peers.IsLive(state.Leader))
            return false;

        // An older reading does not know the life in which the leader was elected: it would be replaced while it leads, and given leases
        // as soon as that life is heard of.
        if (context.Peers.ReadMs >= replica.LeaderLearntMs)
            return true;

        _awaitReading.Add(replica);
        return false;
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
            && replica.WaitingOffer is null && !state.IsDeleted)
        {
            leaders.Lead(replica);
        }
    }

    private void Stand(Replica replica)
    {
        PartitionState state = replica.State;
        int turn = _order.Turn(replica, out ImmutableArray<ReplicaId> isr, out bool isUnclean);
        if (turn < 0)
        {
            replica.CandidateEpoch = -1;
            if (replica.Swap.IsUnsettled && state.Leader != context.Self)
                swaps.Propose(replica, state); // As long as a candidacy may succeed, the leader that it replaces gets no lease.
            else
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
        if (isOpening && !_order.HasOtherCandidates(state))
            return;

        long dueMs = replica.LeaderlessSinceMs + OpeningPatienceMs;
        if (isOpening && context.NowMs < dueMs)
            context.Timers.Arm(replica, dueMs);
        else
            swaps.Propose(replica, state with { Leader = -1 });
    }
}
