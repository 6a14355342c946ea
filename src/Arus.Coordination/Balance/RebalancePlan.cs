using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Balance;

/// <summary>
/// What has to move so that live brokers keep, and are preferred leaders of, about as many partitions each. Replicas go from the broker
/// that keeps the most to the one that keeps the fewest, and stay on as many racks; then the order of replicas changes. Pure: the same
/// input gives the same plan. A plan is made step by step, so that whoever takes some of it pays for these alone.
/// </summary>
/// <param name="liveBrokers">Those that are alive. A broker that is away is thought to come back: nothing moves for its sake.</param>
/// <param name="partitions">All that there are.</param>
public sealed class RebalancePlan(IReadOnlyCollection<BalanceBroker> liveBrokers, IReadOnlyCollection<PartitionState> partitions)
{
    /// <summary>Two brokers may differ by so much of the mean.</summary>
    private const int Tenth = 10;

    private readonly BrokerLoads _loads = new(liveBrokers, partitions);

    private readonly bool _usesRacks = liveBrokers.Any(broker => broker.Rack is not null);

    /// <summary>What each partition that may move has, or will have by the plan so far; in the order of topics and partitions.</summary>
    private readonly SortedDictionary<(string Topic, int Partition), PlannedReplicas> _movable = Movable(partitions);

    /// <summary>The replicas above their brokers' even share, that are to move.</summary>
    public int ExcessReplicas => Excess(_loads.ReplicasOf);

    /// <summary>The preferred leaderships above their brokers' even share.</summary>
    public int ExcessLeaders => Excess(_loads.LeadersOf);

    /// <summary>Copies that go to other brokers, in the order in which they are to be begun. To be enumerated once.</summary>
    public IEnumerable<PlannedReplicas> Copies()
    {
        while (NextCopy() is { } plan)
        {
            _loads.Move(_movable[KeyOf(plan.State)].Replicas, plan.Replicas);

            // What has been planned once stays: a partition is copied once at a time.
            _movable.Remove(KeyOf(plan.State));
            yield return plan;
        }
    }

    /// <summary>Other preferred leaders among the replicas in sync. To be enumerated once.</summary>
    public IEnumerable<PlannedReplicas> Leaders()
    {
        while (NextLeader() is { } plan)
        {
            _loads.Move(_movable[KeyOf(plan.State)].Replicas, plan.Replicas);
            _movable[KeyOf(plan.State)] = plan;
            yield return plan;
        }
    }

    /// <summary>The leaderships that go to preferred leaders in sync, if brokers lead too unevenly many.</summary>
    public IEnumerable<PlannedLeader> PreferredLeaders()
    {
        Dictionary<int, int> led = partitions.CountBy(state => state.Leader).ToDictionary();
        return !Pairs(broker => led.GetValueOrDefault(broker)).Any() ? [] : _movable.Values.Select(one => one.State)
            .Where(state => state.Leader != state.Replicas[0] && _loads.IsLive(state.Leader)
                && _loads.IsLive(state.Replicas[0]) && !_loads.IsDraining(state.Replicas[0])
                && (state.IsShared || state.Isr.Any(member => member.BrokerId == state.Replicas[0])))
            .Select(state => new PlannedLeader(state, state.Replicas[0]));
    }

    private static (string Topic, int Partition) KeyOf(PartitionState state) => (state.Topic, state.Id.Partition);

    private static SortedDictionary<(string Topic, int Partition), PlannedReplicas> Movable(IEnumerable<PartitionState> partitions)
    {
        var movable = new SortedDictionary<(string Topic, int Partition), PlannedReplicas>(
            Comparer<(string Topic, int Partition)>.Create((a, b) => string.CompareOrdinal(a.Topic, b.Topic) is var order and not 0
                ? order : a.Partition.CompareTo(b.Partition)));
        foreach (PartitionState state in partitions.Where(state => state.Target.IsEmpty))
            movable[KeyOf(state)] = new PlannedReplicas(state, state.Replicas);

        return movable;
    }

    private PlannedReplicas? NextCopy()
    {
        foreach ((int from, int to) in Pairs(_loads.ReplicasOf))
        {
            bool wantsLeader = _loads.LeadersOf(from) > _loads.LeadersOf(to) + 1;
            var best = default((int Score, PlannedReplicas Plan)?);
            foreach (PlannedReplicas one in _movable.Values)
            {
                if (one.Replicas.Contains(to) || one.Replicas.IndexOf(from) is not (>= 0 and var place))
                    continue;

                ImmutableArray<int> replicas = one.Replicas.SetItem(place, to);
                int racks = _usesRacks ? _loads.RacksOf(replicas) - _loads.RacksOf(one.Replicas) : 0;
                int score = (2 * racks) + ((place == 0) == wantsLeader ? 1 : 0);
                if (racks >= 0 && (best is null || score > best.Value.Score))
                    best = (score, new PlannedReplicas(one.State, replicas));

                if (!_usesRacks && best is { Score: 1 })
                    break;
            }

            if (best is { } found)
                return found.Plan;
        }

        return null;
    }

    private PlannedReplicas? NextLeader()
    {
        foreach ((int from, int to) in Pairs(_loads.LeadersOf))
        {
            foreach (PlannedReplicas one in _movable.Values)
            {
                int place = one.Replicas.IndexOf(to);
                if (one.Replicas[0] != from || place < 0)
                    continue;

                if (one.State.IsShared || one.State.Isr.Any(member => member.BrokerId == to))
                    return new PlannedReplicas(one.State, one.Replicas.SetItem(0, to).SetItem(place, from));
            }
        }

        return null;
    }

    /// <summary>Brokers that differ by too much, those that differ most first.</summary>
    private IEnumerable<(int From, int To)> Pairs(Func<int, int> countOf)
    {
        int[] brokers = [.. _loads.Takers.Select(broker => broker.Id)];
        if (brokers.Length < 2)
            return [];

        int allowed = Math.Max(1, brokers.Sum(countOf) / brokers.Length / Tenth);
        return brokers.SelectMany(from => brokers.Select(to => (From: from, To: to)))
            .Where(pair => countOf(pair.From) - countOf(pair.To) > allowed)
            .OrderByDescending(pair => countOf(pair.From) - countOf(pair.To)).ThenBy(pair => pair.From).ThenBy(pair => pair.To)
            .ToArray();
    }

    private int Excess(Func<int, int> countOf)
    {
        int[] counts = [.. _loads.Takers.Select(broker => countOf(broker.Id))];
        if (counts.Length == 0)
            return 0;

        // As many as are too many where the whole is spread evenly, and none where the spread is even enough.
        int mean = counts.Sum() / counts.Length;
        return counts.Max() - counts.Min() <= Math.Max(1, mean / Tenth) ? 0 : counts.Sum(count => Math.Max(0, count - mean - 1));
    }
}
