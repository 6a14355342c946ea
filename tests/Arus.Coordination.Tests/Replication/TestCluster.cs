using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>
/// Brokers with machines, a network with a delay of a millisecond, a database, and a clock that a test moves. Everything happens in a fixed
/// order.
/// </summary>
internal sealed partial class TestCluster
{
    private readonly PriorityQueue<Action, (long DueMs, long Order)> _events = new();
    private readonly Dictionary<PartitionId, TestLog> _shared = [];
    private readonly HashSet<(int From, int To)> _cuts = [];
    private readonly Dictionary<TestBroker, List<Action>> _paused = [];
    private long _order;
    private long _records;
    private int _repeated;

    public TestCluster(int brokers, int minInSync = 2, bool uncleanElections = false)
    {
        MinInSync = minInSync;
        UncleanElections = uncleanElections;
        Brokers = [.. Enumerable.Range(1, brokers).Select(id => new TestBroker(this, id))];
    }

    public ReplicationOptions Options { get; set; } = new() { BrokerId = 0 };

    public long NowMs { get; private set; } = 1_000_000;

    public long Lives { get; set; }

    public int MinInSync { get; set; }

    public bool UncleanElections { get; set; }

    /// <summary>Of each record, where bytes count.</summary>
    public const int RecordBytes = 100;

    public int RecordsInPush { get; set; } = 10;

    /// <summary>Hears of every high watermark that a leader lets its readers see.</summary>
    public Action<TestBroker, PartitionId, long>? Committed { get; set; }

    /// <summary>How long a message takes, and whether it arrives twice.</summary>
    public Func<long>? Delay { get; set; }

    /// <inheritdoc cref="Delay"/>
    public Func<bool>? Doubles { get; set; }

    /// <summary>Hears of every effect.</summary>
    public Action<string>? Trace { get; set; }

    public TestStore Store { get; } = new();

    public TestBroker[] Brokers { get; }

    public TestBroker this[int id] => Brokers[id - 1];

    /// <summary>A cluster with one partition of three replicas on brokers 1, 2 and 3, led by 1 with all in sync.</summary>
    public static (TestCluster Cluster, PartitionId Id) Running(int brokers = 3, int minInSync = 2, int replicas = 3)
    {
        var cluster = new TestCluster(brokers, minInSync);
        PartitionId id = cluster.Create([.. Enumerable.Range(1, replicas)]);
        cluster.StartAll();
        cluster.Until(() => cluster.Store[id].Isr.Length == replicas);
        cluster.Run(100);
        return (cluster, id);
    }

    public PartitionId Create(int[] replicas, int partition = 0, bool isShared = false)
    {
        var id = new PartitionId(new Guid(1, 2, 3, new byte[8]), partition);
        PartitionState state = Store.Put(new PartitionState("t", id, 0, -1, -1, [.. replicas], [], [], IsShared: isShared));
        foreach (TestBroker broker in Brokers.Where(broker => broker.IsUp))
        {
            broker.Feed(machine => machine.Configure(id, MinInSync, UncleanElections, NowMs));
            broker.Feed(machine => machine.Learn([state], NowMs));
        }

        return id;
    }

    public void StartAll()
    {
        foreach (TestBroker broker in Brokers)
            broker.Start(MinInSync, UncleanElections);

        TellMembership();
    }

    public void Start(int id)
    {
        this[id].Start(MinInSync, UncleanElections);
        TellMembership();
    }

    /// <summary>Ends a process at once; the others learn of it when the test says so.</summary>
    public void Kill(int id, bool declaredDead = true)
    {
        this[id].Stop();
        if (declaredDead)
            TellMembership();
    }

    /// <summary>All who live read the membership, which holds all that are up but those that are named.</summary>
    public void TellMembership(params int[] dead)
    {
        foreach (TestBroker broker in Brokers)
            TellMembership(broker, dead);
    }

    public void TellMembership(TestBroker broker, params int[] dead)
    {
        Dictionary<int, long> live = Brokers.Where(other => other.IsUp && !dead.Contains(other.Id))
            .ToDictionary(other => other.Id, other => other.Life);
        broker.Feed(machine => machine.MembershipChanged(live, NowMs, NowMs));
    }

    /// <summary>All read all states, as polls do.</summary>
    public void Poll()
    {
        foreach (TestBroker broker in Brokers.Where(broker => broker.ReachesDatabase))
            broker.Feed(machine => machine.Learn([.. Store.Rows], NowMs));
    }

    /// <summary>Nothing goes from one broker to another any more, in one direction.</summary>
    public void Cut(int from, int to) => _cuts.Add((from, to));

    /// <summary>Two brokers do not reach each other.</summary>
    public void Part(int one, int other)
    {
        Cut(one, other);
        Cut(other, one);
    }

    public void Isolate(int id)
    {
        foreach (TestBroker other in Others(this[id]))
            Part(id, other.Id);
    }

    public void Heal() => _cuts.Clear();

    public void Resume(int id)
    {
        this[id].IsPaused = false;
        if (_paused.Remove(this[id], out List<Action>? actions))
            actions.ForEach(action => action());
    }

    public void WhenResumed(TestBroker broker, Action action)
    {
        if (!_paused.TryGetValue(broker, out List<Action>? actions))
            _paused.Add(broker, actions = []);

        actions.Add(action);
    }

    public IEnumerable<TestBroker> Others(TestBroker broker) => Brokers.Where(other => other != broker);

    public TestLog SharedLog(PartitionId id)
    {
        if (!_shared.TryGetValue(id, out TestLog? log))
            _shared.Add(id, log = new TestLog());

        return log;
    }

    /// <summary>A producer appends records at a leader; they are durable there at once.</summary>
    public long Append(int leader, PartitionId id, int count = 1)
    {
        TestBroker broker = this[leader];
        ReplicaView view = broker.Views[id];
        Assert.Equal(ReplicaRole.Leader, view.Role);
        for (int i = 0; i < count; i++)
            broker.Logs[id].Append(new TestRecord(view.State.LeaderEpoch, ++_records));

        broker.Feed(machine => machine.Durable(id, NowMs));
        return broker.Logs[id].LogEndOffset;
    }

    /// <summary>Whom the broker that leads would answer for.</summary>
    public int[] Leaders(PartitionId id) =>
        [.. Brokers.Where(broker => broker.IsUp && broker.Views.TryGetValue(id, out ReplicaView? view) && view.Role == ReplicaRole.Leader)
            .Select(broker => broker.Id)];

    public bool Leads(int broker, PartitionId id) => Leaders(id).Contains(broker);

    public void After(long delayMs, Action action) => _events.Enqueue(action, (NowMs + delayMs, ++_order));

    public void Send(TestBroker from, TestBroker to, Action action)
    {
        if (_cuts.Contains((from.Id, to.Id)))
            return;

        After(Delay?.Invoke() ?? 1, action);
        if (Doubles?.Invoke() == true)
            After(Delay?.Invoke() ?? 1, action);
    }

    public void Call<T>(TestBroker from, int to, Action<TestBroker, Action<T?>> receive, Action<T?> answered)
        where T : class
    {
        TestBroker target = this[to];
        bool isAnswered = false;
        void Answer(T? response)
        {
            if (isAnswered)
                return;

            isAnswered = true;
            answered(response);
        }

        // A call fails when its time is over.
        After(2_000, () => Answer(null));
        Send(from, target, () =>
        {
            if (target.IsUp)
                receive(target, response => Send(target, from, () => Answer(response)));
        });
    }

    /// <summary>Lets time pass.</summary>
    public void Run(long ms)
    {
        long endMs = NowMs + ms;
        while (Step(endMs))
        {
        }

        NowMs = endMs;
    }

    /// <summary>Lets time pass until something is the case, for ten seconds at most.</summary>
    public void Until(Func<bool> condition, long withinMs = 10_000)
    {
        long endMs = NowMs + withinMs;
        while (!condition())
        {
            long atMs = NowMs;
            while (NowMs == atMs)
            {
                if (Step(endMs))
                    continue;

                NowMs = endMs;
                if (!condition())
                    Assert.Fail($"it did not come true within {withinMs} ms: {string.Join("; ", Store.Rows.Take(5))}");

                return;
            }
        }
    }

    private bool Step(long endMs)
    {
        TestBroker? next = Brokers.Where(broker => broker.IsUp && !broker.IsPaused).MinBy(broker => broker.DeadlineMs);
        long dueMs = Math.Max(NowMs, next?.DeadlineMs ?? long.MaxValue);
        if (_events.TryPeek(out Action? action, out (long DueMs, long Order) due) && due.DueMs <= dueMs)
        {
            if (due.DueMs > endMs)
                return false;

            _events.Dequeue();
            NowMs = Math.Max(NowMs, due.DueMs);
            action();
            return true;
        }

        if (next is null || dueMs > endMs)
            return false;

        NowMs = dueMs;
        next.Feed(machine => machine.Advance(NowMs));
        _repeated = next.DeadlineMs > NowMs ? 0 : _repeated + 1;
        Assert.True(_repeated < 10, $"broker {next.Id} asks for the time over and over");
        return true;
    }
}
