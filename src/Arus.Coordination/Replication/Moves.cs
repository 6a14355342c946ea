namespace Arus.Coordination.Replication;

/// <summary>
/// Moves leaderships: appends are held back until the target has all records, then leader and epoch change in one swap. A bounded number at
/// once; a target that does not catch up in time stays a follower for now.
/// </summary>
internal sealed class Moves(ReplicationContext context, SwapKeeper swaps) : ITimed
{
    private const int MaxMoves = 64;
    private const int RetryMoveMs = 250;

    private readonly Queue<Replica> _queue = new();
    private readonly Queue<Replica> _wanted = new();
    private readonly List<Replica> _later = [];
    private int _active;

    public long ArmedAtMs { get; set; } = long.MaxValue;

    /// <summary>The replica's leadership is to go to whoever can take it.</summary>
    public void Enqueue(Replica replica)
    {
        if (replica.Leadership is not { IsToMove: false } leadership)
            return;

        leadership.IsToMove = true;
        _queue.Enqueue(replica);
        context.Timers.Arm(this, context.NowMs);
    }

    /// <summary>Every leadership is to go.</summary>
    public void EnqueueAll()
    {
        foreach (Replica replica in context.Replicas.Values)
            Enqueue(replica);
    }

    /// <summary>
    /// The leadership is to go to a certain broker: at once, or when others that are under way have ended. If the broker cannot take it
    /// then, it stays.
    /// </summary>
    public void Enqueue(Replica replica, int target)
    {
        if (replica.Leadership is not { } leadership)
            return;

        if (_active < MaxMoves)
        {
            Begin(replica, target);
            return;
        }

        if (leadership.WantedTarget < 0)
            _wanted.Enqueue(replica);

        leadership.WantedTarget = target;
    }

    private void Pump()
    {
        while (_active < MaxMoves && _wanted.TryDequeue(out Replica? replica))
        {
            if (replica.Leadership is not { } leadership)
                continue;

            int target = leadership.WantedTarget;
            leadership.WantedTarget = -1;
            if (target >= 0)
                Begin(replica, target);
        }

        while (_active < MaxMoves && _queue.TryDequeue(out Replica? replica))
        {
            if (replica.Leadership is not { Move: null })
                continue;

            int target = Target(replica);
            if (target < 0 || !Begin(replica, target))
                _later.Add(replica);
        }

        if (_later.Count > 0)
            context.Timers.Arm(this, context.NowMs + RetryMoveMs);
    }

    public void Due()
    {
        foreach (Replica replica in _later)
            _queue.Enqueue(replica);

        _later.Clear();
        Pump();
    }

    private bool Begin(Replica replica, int target)
    {
        if (replica.Leadership is not { Move: null } leadership || target == context.Self || !CanTake(replica, target))
            return false;

        leadership.Move = new LeadershipMove(target, context.NowMs + context.Options.MovePatienceMs);
        _active++;
        context.Timers.Arm(replica, leadership.Move.DeadlineMs);
        context.Touch(replica);
        Consider(replica);
        return true;
    }

    /// <summary>Goes on with a move if it can, and gives it up when its time is over.</summary>
    public void Consider(Replica replica)
    {
        if (replica.Leadership?.Move is not { } move)
            return;

        if (context.NowMs >= move.DeadlineMs)
        {
            // With an answer outstanding the target may lead already: appends go on, verdicts do not.
            GiveUp(replica);
            return;
        }

        context.Timers.Arm(replica, move.DeadlineMs);
        if (move.IsProposed || replica.Swap.IsInFlight || replica.Swap.IsUnsettled || !HasAll(replica, move.Target))
            return;

        move.IsProposed = true;
        swaps.Propose(replica, replica.State with { Leader = move.Target, LeaderEpoch = replica.State.LeaderEpoch + 1 });
    }

    public void GiveUp(Replica replica)
    {
        if (replica.Leadership is not { Move: not null } leadership)
            return;

        leadership.Move = null;
        Ended();
        if (leadership.IsToMove)
            _later.Add(replica);
    }

    /// <summary>A move is over, in whatever way.</summary>
    public void Ended()
    {
        _active--;
        context.Timers.Arm(this, context.NowMs);
    }

    /// <summary>The first who could take it, in the order of the replicas; -1 for nobody.</summary>
    private int Target(Replica replica)
    {
        IEnumerable<int> candidates = replica.State.IsShared
            ? replica.State.Replicas.Concat(context.Peers.LiveBrokers())
            : replica.State.Replicas;
        foreach (int broker in candidates)
        {
            if (broker != context.Self && CanTake(replica, broker))
                return broker;
        }

        return -1;
    }

    private bool CanTake(Replica replica, int target)
    {
        if (replica.State.IsShared)
            return context.Peers.IsLive(target);

        return replica.Leadership!.Link(target) is { IsOpen: true, Peer.IsLive: true } link && replica.IsSurelyInSync(link.Member);
    }

    private bool HasAll(Replica replica, int target)
    {
        IReplicaLog log = replica.Log!;
        if (log.LogEndOffset != log.DurableEndOffset)
            return false;

        return replica.State.IsShared
            || (CanTake(replica, target) && replica.Leadership!.Link(target)!.EndOffset == log.DurableEndOffset);
    }
}
