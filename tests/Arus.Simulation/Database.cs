using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What a swap came to.</summary>
internal readonly record struct SwapResult(long Number, SwapOutcome Outcome, PartitionState? State);

/// <summary>
/// The states of all partitions, changed only by compare-and-swap, and the members of the cluster. It may be away, its answers may be
/// lost, and what was given up may take effect later.
/// </summary>
internal sealed class Database(World world, Cluster cluster)
{
    private const int MinLateMs = 4_000;
    private const int MaxLateMs = 12_000;

    private readonly Dictionary<PartitionId, PartitionState> _rows = [];
    private readonly List<int> _cutOff = [];
    private long _version = 100;

    public int Away { get; set; }

    public double AnswerLoss { get; set; }

    public double Lateness { get; set; }

    public int SlowMs { get; set; }

    /// <summary>
    /// Told of the leader and the new member when the next growth of an isr is asked for. From then on the leader's swaps are late.
    /// </summary>
    public Action<int, int>? DelaysGrowth { get; set; }

    /// <summary>The broker whose swaps all time out, and take effect later.</summary>
    public int LateBroker { get; set; } = -1;

    public IEnumerable<PartitionState> Rows => _rows.Values;

    /// <summary>The members that are not declared dead, and the number of each one's life.</summary>
    public SortedDictionary<int, long> Members { get; } = [];

    public bool IsReachable(int broker) => Away == 0 && !_cutOff.Contains(broker);

    /// <summary>Cuts may overlap; each ends by itself.</summary>
    public void CutOff(int broker, bool isCut)
    {
        if (isCut)
            _cutOff.Add(broker);
        else
            _cutOff.Remove(broker);
    }

    public PartitionState Row(PartitionId id) => _rows[id];

    public bool IsMember(PartitionId id, int broker, Guid logId) =>
        _rows[id].Isr.Contains(new ReplicaId(broker, logId)) || _rows[id].Elr.Contains(new ReplicaId(broker, logId));

    public PartitionState Create(PartitionState state) => _rows[state.Id] = state with { Version = NextVersion() };

    public void Delete(PartitionId id) => _rows[id] = _rows[id] with { Version = NextVersion(), IsDeleted = true };

    /// <param name="apply">Runs in the database, at most once, and makes the answer.</param>
    /// <param name="answered">Null when there is no answer.</param>
    /// <param name="lateMs">How long after its timeout it takes effect; -1 to leave that to chance.</param>
    public void Execute<T>(int broker, Func<bool, T> apply, Action<T?> answered, int lateMs = -1)
        where T : class
    {
        bool done = false;
        int timeoutMs = cluster.Plan.DatabaseTimeoutMs;
        if (!IsReachable(broker))
        {
            world.After(world.Chance(0.5) ? world.Between(1, 20) : timeoutMs, () => Answer(null)); // Refused, or silence.
            return;
        }

        world.After(timeoutMs, () => Answer(null));
        if (lateMs < 0 && world.Chance(Lateness))
            lateMs = world.Between(1, 12_000);

        if (lateMs >= 0)
        {
            world.After(timeoutMs + lateMs, () => apply(true));
            return;
        }

        bool isLost = world.Chance(AnswerLoss);
        world.After(Latency(), () =>
        {
            if (!IsReachable(broker) && world.Chance(0.5))
                return;

            T answer = apply(isLost || !IsReachable(broker));
            if (!isLost)
                world.After(Latency(), () => Answer(IsReachable(broker) ? answer : null));
        });

        void Answer(T? answer)
        {
            if (done)
                return;

            done = true;
            answered(answer);
        }
    }

    /// <summary>Compares and swaps each; they are committed together.</summary>
    public void Swap(BrokerProcess process, List<(long Number, PartitionState Proposed)> swaps, Action<IReadOnlyList<SwapResult>> answered)
    {
        int broker = process.Broker.Id;
        int member = DelaysGrowth is null ? -1 : swaps.Select(swap => Joins(broker, swap.Proposed)).FirstOrDefault(joins => joins >= 0, -1);
        if (member >= 0)
        {
            DelaysGrowth!(broker, member);
            DelaysGrowth = null;
        }

        Execute(
            broker,
            unheard => swaps.ConvertAll(swap => Apply(process, swap.Number, swap.Proposed, unheard)),
            results =>
            {
                if (results is null)
                    world.Statistics.Count(Rule.SwapUnknown);

                answered(results ?? swaps.ConvertAll(swap => new SwapResult(swap.Number, SwapOutcome.Unknown, null)));
            },
            broker == LateBroker ? world.Between(MinLateMs, MaxLateMs) : -1);
    }

    /// <summary>The broker that a leader wants to have in the isr; -1 for none.</summary>
    private int Joins(int broker, PartitionState proposed)
    {
        PartitionState row = _rows[proposed.Id];
        if (proposed.Leader != broker || proposed.LeaderEpoch != row.LeaderEpoch || row.Isr.Length == 0)
            return -1;

        return proposed.Isr.Where(member => !row.Isr.Contains(member)).Select(member => member.BrokerId).FirstOrDefault(-1);
    }

    /// <summary>Each change has its own; those between are for a bug that tells of versions which do not exist.</summary>
    private long NextVersion() => _version += 2;

    private int Latency() => 1 + world.Random.Next(SlowMs > 0 ? SlowMs : 4);

    /// <param name="unheard">Nobody will hear the answer.</param>
    private SwapResult Apply(BrokerProcess process, long number, PartitionState proposed, bool unheard)
    {
        PartitionState row = _rows[proposed.Id];
        if (row.Version != proposed.Version || Members.GetValueOrDefault(process.Broker.Id) != process.Life)
        {
            world.Statistics.Count(unheard ? Rule.LateSwapRefused : Rule.SwapLost);
            return new SwapResult(number, SwapOutcome.Lost, row);
        }

        if (unheard)
            world.Statistics.Count(process.IsGone ? Rule.LateSwapApplied : Rule.UnknownSwapApplied);

        PartitionState next = proposed with { Version = NextVersion() };
        world.Trace?.Invoke($"{world.NowMs,7} database: {Text.Of(next)} by {process}{(unheard ? ", which does not hear of it" : "")}");
        _rows[proposed.Id] = next;
        new StateCheck(cluster, process, row, next).Run();
        return new SwapResult(number, SwapOutcome.Won, next);
    }
}
