using Arus.Coordination.Balance;
using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>Counts what brokers lead and keep. Pure.</summary>
internal static class BalanceDescription
{
    public static ClusterBalance Of(BrokerRegistration[] live, IReadOnlyList<PartitionState> states, ControllerState wishes)
    {
        int[] draining = wishes.Draining;
        Dictionary<int, string?> racks = live.ToDictionary(broker => broker.BrokerId, broker => broker.Rack);
        Dictionary<int, int> leaders = states.CountBy(state => state.Leader).ToDictionary();
        Dictionary<int, int> replicas = states.SelectMany(state => state.Replicas.Union(state.Target)).CountBy(id => id).ToDictionary();
        Dictionary<int, int> behind = states.Where(state => !state.IsShared).SelectMany(OutOfSync).CountBy(id => id).ToDictionary();
        BalanceBroker[] brokers = [.. racks.Select(broker => new BalanceBroker(broker.Key, broker.Value, draining.Contains(broker.Key)))];
        var plan = new DrainPlan(brokers, states);
        var spread = new RebalancePlan(brokers, states);
        return new ClusterBalance(
            states.Count,
            states.Count(state => !racks.ContainsKey(state.Leader)),
            states.Count(state => !state.IsShared && state.Isr.Length < state.Replicas.Length),
            states.Count(state => !state.Target.IsEmpty),
            [
                .. racks.Keys.Union(replicas.Keys).Union(draining).Order().Select(id => new BrokerBalance(
                    id, racks.ContainsKey(id), racks.GetValueOrDefault(id), leaders.GetValueOrDefault(id), replicas.GetValueOrDefault(id),
                    behind.GetValueOrDefault(id), draining.Contains(id), draining.Contains(id) ? plan.RemainingOf(id) : 0)),
            ],
            wishes.IsPaused, spread.ExcessReplicas, spread.ExcessLeaders);
    }

    private static IEnumerable<int> OutOfSync(PartitionState state) => state.Replicas.Union(state.Target)
        .Where(broker => !state.Isr.Any(member => member.BrokerId == broker));
}
