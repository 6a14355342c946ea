using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>
/// The replication of one broker: elections, sessions with followers, high watermarks, who is in sync, leases. A deterministic state
/// machine without I/O, clock or chance. Not thread-safe.
/// </summary>
public sealed partial class ReplicationMachine
{
    private readonly ReplicationContext _context;
    private readonly ViewPublisher _views;
    private readonly SwapKeeper _swaps;
    private readonly LogKeeper _logs;
    private readonly PushScheduler _scheduler;
    private readonly Moves _moves;
    private readonly FollowerProgress _progress;
    private readonly LeaderRole _leaders;
    private readonly Elections _elections;
    private readonly CallAnswers _answers;
    private readonly FollowerSessions _sessions;
    private readonly FollowerPushes _pushes;
    private readonly ReplicaCatalog _catalog;

    public ReplicationMachine(ReplicationOptions options)
    {
        Options = options;
        _context = new ReplicationContext(options, Leases);
        _views = new ViewPublisher(_context);
        _swaps = new SwapKeeper(_context, _views, LearnOne);
        _logs = new LogKeeper(_context);
        _scheduler = new PushScheduler(_context);
        _moves = new Moves(_context, _swaps);
        var isrs = new IsrKeeper(_context, _swaps);
        _progress = new FollowerProgress(_context, _scheduler, isrs, _moves);
        _leaders = new LeaderRole(_context, _views, _scheduler, _progress, isrs, _moves);
        _answers = new CallAnswers(_context);
        _elections = new Elections(_context, _swaps, _leaders, _answers);
        _sessions = new FollowerSessions(_context, _answers, _leaders);
        _pushes = new FollowerPushes(_context, _answers, _sessions);
        _catalog = new ReplicaCatalog(_context, _leaders);
    }

    public ReplicationOptions Options { get; }

    /// <summary>What other brokers promised; the data path reads it from any thread.</summary>
    public LeaseTable Leases { get; } = new();

    /// <summary>What may go to replicas that are not in sync.</summary>
    public CatchUpBudget CatchUp => _context.CatchUp;

    /// <summary>How many partitions this broker leads.</summary>
    public int LeaderCount => _context.LeaderCount;

    /// <summary>The states of all partitions when the broker starts. Whatever they say, this broker leads nothing yet.</summary>
    public void Start(IReadOnlyList<PartitionState> states, long nowMs)
    {
        Begin(nowMs);
        _context.Peers.GrantToAll(nowMs);
        foreach (PartitionState state in states)
            _catalog.AddFormer(state);

        End();
    }

    /// <summary>States that changed, or are told again; older versions than known ones are ignored.</summary>
    public void Learn(IReadOnlyList<PartitionState> states, long nowMs)
    {
        Begin(nowMs);
        foreach (PartitionState state in states)
            LearnOne(state);

        End();
    }

    /// <summary>The membership is known: to be told after every reading, whether anything changed or not.</summary>
    /// <param name="live">The brokers in the cluster's membership, this one included, and the number of each one's present life.</param>
    /// <param name="readMs">
    /// When the reading of the membership began, if all states were read after it and have been learnt; -1 otherwise. The store takes no
    /// swap of who was not a member then, and what it had taken before is known now: such a broker takes over in another life only, and
    /// that waits for a lease's time first.
    /// </param>
    public void MembershipChanged(IReadOnlyDictionary<int, long> live, long readMs, long nowMs)
    {
        Begin(nowMs);
        List<Peer>? changed = _context.Peers.Update(live, nowMs);
        if (readMs >= 0)
            _elections.MembershipRead(readMs);

        foreach (Peer peer in _context.Peers.All)
        {
            if (readMs >= 0 && !peer.IsLive)
                Leases.Extend(peer.BrokerId, readMs + Options.ReliedLeaseMs);
        }

        if (changed is not null)
            _catalog.PeersChanged(changed);

        foreach (Peer peer in changed ?? [])
            _scheduler.Due(peer);

        End();
    }

    public void SwapCompleted(long number, SwapOutcome outcome, PartitionState? state, long nowMs)
    {
        Begin(nowMs);
        _swaps.Completed(number, outcome, state);
        End();
    }

    public void LogOpened(PartitionId id, IReplicaLog log, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            _logs.Opened(replica, log);
            _context.Touch(replica);
        }

        End();
    }

    /// <summary>The log cannot be opened, or failed; nothing that was asked of it is answered any more. It is opened again later.</summary>
    public void LogFailed(PartitionId id, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            _leaders.LogFailed(replica);
            _logs.Failed(replica);
            _pushes.Abandon(replica);
            _sessions.Abandon(replica);
            _context.Touch(replica);
        }

        End();
    }

    /// <summary>A <see cref="ReplicationEffect.Prepare"/> is done, durably.</summary>
    public void Prepared(PartitionId id, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            LogOperation operation = replica.Operation;
            replica.Operation = operation == LogOperation.Append ? operation : LogOperation.None;
            if (operation == LogOperation.PrepareToLead)
                _elections.Prepared(replica);
            else if (operation == LogOperation.PrepareSession)
                _sessions.Prepared(replica);

            _sessions.OperationEnded(replica);
            _context.Touch(replica);
        }

        End();
    }

    /// <summary>What an <see cref="ReplicationEffect.AppendPushed"/> brought is durable.</summary>
    public void Appended(PartitionId id, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            _pushes.Appended(replica);
            _sessions.OperationEnded(replica);
            if (replica.IsLookedAtAgain)
                _context.Touch(replica);
        }

        End();
    }

    /// <summary>The durable end or the start of a leader's log moved. It does no harm to call it for others.</summary>
    public void Durable(PartitionId id, long nowMs)
    {
        Begin(nowMs);
        if (_context.Replicas.TryGetValue(id, out Replica? replica))
        {
            replica.LastUsedMs = nowMs;
            _progress.Durable(replica);
        }

        End();
    }

    public void ReceiveSessions(long call, int from, ReplicaSessionRequest request, long nowMs)
    {
        Begin(nowMs);
        _sessions.Receive(call, _context.Peers.Get(from), request);
        End();
    }

    /// <param name="from">The broker that sends it.</param>
    public void ReceivePush(long call, int from, ReplicaPushRequest request, long nowMs)
    {
        Begin(nowMs);
        _pushes.Receive(call, _context.Peers.Get(from), request);
        End();
    }

    /// <param name="response">Null: the call failed, and whether it arrived is unknown.</param>
    public void SessionsAnswered(long call, ReplicaSessionResponse? response, long nowMs)
    {
        Begin(nowMs);
        if (_scheduler.TakeSessions(call) is { } sent)
            _progress.SessionsAnswered(call, sent, response);

        End();
    }

    /// <inheritdoc cref="SessionsAnswered"/>
    /// <param name="caughtUpBytes">What the push brought to replicas that are not in sync; -1 if that is not known.</param>
    public void PushAnswered(long call, ReplicaPushResponse? response, long nowMs, int caughtUpBytes = -1)
    {
        Begin(nowMs);
        if (_scheduler.TakePush(call, caughtUpBytes) is { } sent)
            _progress.PushAnswered(call, sent, response);

        End();
    }

    /// <summary>The topic's <c>min.insync.replicas</c>, and whether it allows unclean elections; told before the log is opened.</summary>
    public void Configure(PartitionId id, int minInSyncReplicas, bool uncleanElections, long nowMs)
    {
        Begin(nowMs);
        _catalog.Configure(id, minInSyncReplicas, uncleanElections);
        End();
    }

    /// <summary>Does what is due. Calling it early does no harm.</summary>
    public void Advance(long nowMs)
    {
        Begin(nowMs);
        _answers.AnswerDue();
        while (_context.Timers.TakeDue(nowMs) is { } timed)
        {
            if (timed is Replica replica)
                _context.Touch(replica);
            else if (timed is Peer peer)
                _scheduler.Due(peer);
            else
                _moves.Due();
        }

        End();
    }

    /// <summary>What is to be done, each once, and when <see cref="Advance"/> is due at the latest.</summary>
    public (IReadOnlyList<ReplicationEffect> Effects, long DeadlineMs) TakeEffects()
    {
        _logs.OpenQueued();
        _scheduler.Flush();
        List<ReplicationEffect> effects = _context.Effects;
        _context.Effects = [];
        return (effects, Math.Min(_context.Timers.NextMs(), _answers.NextMs()));
    }

    private void Begin(long nowMs) => _context.SetNow(nowMs);

    /// <summary>Draws the conclusions from an input.</summary>
    private void End()
    {
        while (_context.Touched.TryDequeue(out Replica? replica))
        {
            replica.IsTouched = false;
            _logs.Reconcile(replica);
            if (replica.Leadership is not null)
                _leaders.Reconcile(replica);

            if (replica.Leadership is null)
                _elections.Reconcile(replica);

            replica.IsLookedAtAgain = replica.Operation != LogOperation.None;
            _views.Publish(replica);
            _catalog.Reconcile(replica);
        }
    }

    private void LearnOne(PartitionState state) => _catalog.Learn(state);
}
