using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Balance;

/// <summary>
/// How many partitions each live broker keeps, and of how many it is the preferred leader, once all that is under way is done. A plan is
/// made against it and changes it.
/// </summary>
internal sealed class BrokerLoads
{
    private readonly SortedDictionary<int, BalanceBroker> _brokers = [];
    private readonly Dictionary<int, int> _replicas = [];
    private readonly Dictionary<int, int> _leaders = [];

    public BrokerLoads(IEnumerable<BalanceBroker> liveBrokers, IEnumerable<PartitionState> partitions)
    {
        foreach (BalanceBroker broker in liveBrokers)
            _brokers[broker.Id] = broker;

        foreach (PartitionState partition in partitions)
            Count(Final(partition), 1);
    }

    /// <summary>The brokers that take partitions, by id.</summary>
    public IEnumerable<BalanceBroker> Takers => _brokers.Values.Where(broker => !broker.IsDraining);

    /// <summary>The replicas of a partition once its reassignment is over.</summary>
    public static ImmutableArray<int> Final(PartitionState partition) => partition.Target.IsEmpty ? partition.Replicas : partition.Target;

    public bool IsDraining(int broker) => _brokers.TryGetValue(broker, out BalanceBroker known) && known.IsDraining;

    public bool IsLive(int broker) => _brokers.ContainsKey(broker);

    public string? RackOf(int broker) => _brokers.TryGetValue(broker, out BalanceBroker known) ? known.Rack : null;

    public int ReplicasOf(int broker) => _replicas.GetValueOrDefault(broker);

    public int LeadersOf(int broker) => _leaders.GetValueOrDefault(broker);

    /// <summary>A partition gets other replicas.</summary>
    public void Move(ImmutableArray<int> from, ImmutableArray<int> to)
    {
        Count(from, -1);
        Count(to, 1);
    }

    /// <summary>How many racks some brokers are in; a broker that is not said to be in any is in one of its own.</summary>
    public int RacksOf(IEnumerable<int> brokers) => brokers.Select(broker => RackOf(broker) ?? $"\0{broker}").Distinct().Count();

    private void Count(ImmutableArray<int> replicas, int change)
    {
        foreach (int broker in replicas)
            _replicas[broker] = _replicas.GetValueOrDefault(broker) + change;

        _leaders[replicas[0]] = _leaders.GetValueOrDefault(replicas[0]) + change;
    }
}
