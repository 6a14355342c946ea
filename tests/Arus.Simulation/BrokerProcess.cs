using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Simulation;

/// <summary>
/// One life of a broker: the host of the product's replication machine. It carries out the machine's effects over the simulated disk,
/// network and database, and answers clients as <see cref="DataPath"/> says.
/// </summary>
internal sealed partial class BrokerProcess
{
    private const int PollMs = 1_000;
    private const int MembersPollMs = 2_000;
    private const int MaintenanceMs = 2_000;

    private readonly World _world;
    private readonly Cluster _cluster;
    private readonly ReplicationMachine _machine;
    private readonly Dictionary<PartitionId, PartitionState> _image = [];
    private readonly Dictionary<long, IncomingPush> _pushes = [];
    private readonly Dictionary<long, Action<ReplicaSessionResponse>> _sessions = [];
    private readonly List<(int To, long Life, Action Fail)> _calls = [];
    private SortedDictionary<int, long> _members = [];
    private long _nextCall;
    private long _advanceAtMs = long.MaxValue;
    private bool _isStarted;

    public BrokerProcess(Broker broker)
    {
        Broker = broker;
        _cluster = broker.Cluster;
        _world = _cluster.World;
        Life = _cluster.NextLife();
        _machine = new ReplicationMachine(new ReplicationOptions
        {
            BrokerId = broker.Id,
            LeaseMs = _cluster.Plan.LeaseMs,
            LagTimeMaxMs = _cluster.Plan.LagTimeMaxMs,
            MaxPushesInFlight = _cluster.Plan.MaxPushesInFlight,
            MaxPartitionsInCall = _cluster.Plan.MaxPartitionsInCall,
        });
        Data = new DataPath(this);
    }

    public Broker Broker { get; }

    public Cluster Cluster => _cluster;

    public long Life { get; }

    public bool IsGone { get; private set; }

    /// <summary>A graceful stop has begun.</summary>
    public bool IsDraining { get; private set; }

    public DataPath Data { get; }

    public Dictionary<PartitionId, Replica> Replicas { get; } = [];

    public long LocalNowMs => Broker.LocalNowMs;

    public override string ToString() => $"broker {Broker.Id} (life {Life})";

    /// <summary>Joins the membership and reads all states; tries again until the database answers.</summary>
    public void Start()
    {
        long beganMs = LocalNowMs;
        _cluster.Database.Execute(
            Broker.Id,
            _ =>
            {
                if (!IsGone)
                    _cluster.Membership.Join(Broker.Id, Life);

                return Snapshot();
            },
            answer => Post(0, () => Started(answer, beganMs)));
    }

    /// <summary>Runs something in this process, unless it is gone by then.</summary>
    public void Post(long delayMs, Action action) => _world.After(delayMs, () => Broker.Run(this, action));

    public void Die()
    {
        IsGone = true;
        foreach (Replica replica in Replicas.Values)
            replica.Log?.Abandon();
    }

    /// <summary>The leader that this broker knows of; -1 for none.</summary>
    public int LeaderOf(PartitionId id) => _image.TryGetValue(id, out PartitionState? state) ? state.Leader : -1;

    public bool Knows(PartitionId id) => _image.TryGetValue(id, out PartitionState? state) && !state.IsDeleted;

    /// <summary>Tells the machine something, and does what it asks for.</summary>
    public void Tell(Action<ReplicationMachine, long> input)
    {
        if (!_isStarted)
            return;

        input(_machine, LocalNowMs);
        Carry();
    }

    public void RefreshMembers() => Broker.Run(this, () =>
    {
        long beganMs = LocalNowMs;
        _cluster.Database.Execute(
            Broker.Id, _ => Snapshot(), answer => Post(0, () => MembersRead(answer, beganMs)));
    });

    public void MoveLeadership(PartitionId id, int target) => Tell((machine, now) => machine.MoveLeadership(id, target, now));

    /// <summary>Hands over what it leads, closes its logs, leaves the membership; in ten seconds at most.</summary>
    public void Stop()
    {
        if (IsDraining || !_isStarted)
            return;

        IsDraining = true;
        Note("drains");
        Tell((machine, now) => machine.Drain(now));
        AwaitDrained(_world.NowMs + 8_000);
    }

    public void Note(string text) => _world.Trace?.Invoke($"{_world.NowMs,7} broker {Broker.Id}.{Life} {text}");

    private void AwaitDrained(long untilMs)
    {
        bool leads = Replicas.Values.Any(replica => replica.View is { Role: ReplicaRole.Leader });
        if (leads && _world.NowMs < untilMs)
        {
            Post(50, () => AwaitDrained(untilMs));
            return;
        }

        if (!leads)
            _world.Statistics.Count(Rule.DrainedStop);

        Note(leads ? "stops though it leads" : "stops");
        foreach (Replica replica in Replicas.Values)
            replica.CloseAtEnd();

        if (IsGone)
            return;

        End(() => _cluster.Membership.Leave(Broker.Id, Life));
        _world.After(_world.Between(100, 3_000), Broker.Start);
    }

    private void End(Action? leave)
    {
        Die();
        Broker.Ended();
        if (leave is not null && _cluster.Database.IsReachable(Broker.Id))
            leave();
    }

    private (List<PartitionState> Rows, SortedDictionary<int, long> Members)[] Snapshot() =>
        [(_cluster.Database.Rows.ToList(), new SortedDictionary<int, long>(_cluster.Database.Members))];

    private void Started((List<PartitionState> Rows, SortedDictionary<int, long> Members)[]? answer, long beganMs)
    {
        if (answer is null)
        {
            Post(_world.Between(200, 1_000), Start);
            return;
        }

        (List<PartitionState> rows, _members) = answer[0];
        _isStarted = true;
        Note("starts");
        rows.ForEach(Remember);
        Tell((machine, now) => machine.Start(rows, now));
        Tell((machine, now) => machine.MembershipChanged(new Dictionary<int, long>(_members), beganMs, now));
        Post(_world.Between(1, PollMs), Poll);
        Post(_world.Between(1, MembersPollMs), PollMembers);
        Post(_world.Between(1, MaintenanceMs), Maintain);
    }

    private void Maintain()
    {
        Post(MaintenanceMs, Maintain);
        foreach (Replica replica in Replicas.Values.ToArray())
            replica.Maintain();
    }

    private void Poll()
    {
        Post(PollMs, Poll);
        _cluster.Database.Execute(
            Broker.Id, _ => _cluster.Database.Rows.ToList(), rows => Post(0, () => Learn(rows ?? [])));
    }

    private void PollMembers()
    {
        Post(MembersPollMs, PollMembers);
        RefreshMembers();
    }

    private void MembersRead((List<PartitionState> Rows, SortedDictionary<int, long> Members)[]? answer, long beganMs)
    {
        if (answer is null || !_isStarted)
            return;

        (List<PartitionState> rows, SortedDictionary<int, long> members) = answer[0];
        if (members.GetValueOrDefault(Broker.Id) != Life)
        {
            Note("reads that it is dead, and ends");
            _world.Statistics.Count(Rule.DeclaredDeadEnded);
            End(null);
            _world.After(_world.Between(100, 2_000), Broker.Start);
            return;
        }

        if (!members.SequenceEqual(_members))
            Note($"sees members {string.Join(' ', members.Keys)}");

        _members = members;
        ReadEnds();
        Learn(rows);
        Tell((machine, now) => machine.MembershipChanged(new Dictionary<int, long>(members), beganMs, now));
        foreach ((int to, long life, Action fail) in _calls.ToArray())
        {
            if (members.GetValueOrDefault(to) != life)
                fail();
        }
    }

    private void Learn(List<PartitionState> states)
    {
        List<PartitionState> news = states.FindAll(
            state => !_image.TryGetValue(state.Id, out PartitionState? known) || known.Version < state.Version || _world.Chance(0.02));
        if (news.Count == 0)
            return;

        news.ForEach(Remember);
        Tell((machine, now) => machine.Learn(news, now));
    }

    private void Remember(PartitionState state)
    {
        if (!_image.TryGetValue(state.Id, out PartitionState? known) || known.Version < state.Version)
            _image[state.Id] = state;
    }

    /// <summary>What came with a push from another broker, until it is answered.</summary>
    private sealed record IncomingPush(
        int From, ReplicaPushRequest Request, ReadOnlyMemory<byte>[][] Records, Action<ReplicaPushResponse> Answer);
}
