using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Grains;

/// <inheritdoc cref="IControllerGrain"/>
internal sealed class ControllerGrain(PartitionLookup partitions, LeaderElections elections, Reassignments reassignments)
    : Grain, IControllerGrain
{
    public Task<ElectLeadersResponse> ElectLeadersAsync(ElectLeadersRequest request) => elections.ElectAsync(request);

    public Task<AlterPartitionReassignmentsResponse> AlterPartitionReassignmentsAsync(AlterPartitionReassignmentsRequest request) =>
        reassignments.AlterAsync(request);

    public Task<ListPartitionReassignmentsResponse> ListPartitionReassignmentsAsync(ListPartitionReassignmentsRequest request) =>
        reassignments.ListAsync(request);

    public async Task<ClusterBalance> DescribeBalanceAsync()
    {
        ClusterDescription cluster = await GrainFactory.GetGrain<IClusterGrain>(0).DescribeAsync();
        return Describe(cluster.Brokers, await partitions.AllAsync());
    }

    private static ClusterBalance Describe(BrokerRegistration[] live, IReadOnlyList<PartitionState> states)
    {
        Dictionary<int, string?> racks = live.ToDictionary(broker => broker.BrokerId, broker => broker.Rack);
        Dictionary<int, int> leaders = states.CountBy(state => state.Leader).ToDictionary();
        Dictionary<int, int> replicas = states.SelectMany(state => state.Replicas.Union(state.Target)).CountBy(id => id).ToDictionary();
        Dictionary<int, int> behind = states.Where(state => !state.IsShared).SelectMany(state => state.Replicas.Union(state.Target)
            .Where(broker => !state.Isr.Any(member => member.BrokerId == broker))).CountBy(id => id).ToDictionary();
        return new ClusterBalance(
            states.Count,
            states.Count(state => !racks.ContainsKey(state.Leader)),
            states.Count(state => !state.IsShared && state.Isr.Length < state.Replicas.Length),
            states.Count(state => !state.Target.IsEmpty),
            [
                .. racks.Keys.Union(replicas.Keys).Order().Select(id => new BrokerBalance(
                    id, racks.ContainsKey(id), racks.GetValueOrDefault(id), leaders.GetValueOrDefault(id), replicas.GetValueOrDefault(id),
                    behind.GetValueOrDefault(id))),
            ]);
    }
}
