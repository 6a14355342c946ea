using Arus.Coordination.Balance;
using Arus.Coordination.Replication;
using Arus.Protocol;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="IControllerGrain"/>
/// <remarks>
/// Of two activations the later one balances: each claims the state before its first round, and looks before each further one whether it
/// has been claimed since. What a round changes is changed by compare-and-swap in any case.
/// </remarks>
internal sealed class ControllerGrain(
    [PersistentState("controller", StorageNames.Metadata)] IPersistentState<ControllerState> state,
    PartitionLookup partitions, LeaderElections elections, Reassignments reassignments, ClusterBalancer balancer,
    MetadataRestore restore)
    : Grain, IControllerGrain
{
    private long _claim = -1;

    public Task<ElectLeadersResponse> ElectLeadersAsync(ElectLeadersRequest request) => elections.ElectAsync(request);

    public Task<AlterPartitionReassignmentsResponse> AlterPartitionReassignmentsAsync(AlterPartitionReassignmentsRequest request) =>
        reassignments.AlterAsync(request);

    public Task<ListPartitionReassignmentsResponse> ListPartitionReassignmentsAsync(ListPartitionReassignmentsRequest request) =>
        reassignments.ListAsync(request);

    public Task<ElectLeadersResponse> RestoreMetadataAsync(bool isForced) => restore.RunAsync(isForced);

    public async Task<ClusterBalance> DescribeBalanceAsync()
    {
        ControllerState wishes = state.State;
        return BalanceDescription.Of(
            (await GrainFactory.GetGrain<IClusterGrain>(0).DescribeAsync()).Brokers, await partitions.AllAsync(), wishes);
    }

    public Task<int[]> GetDrainingAsync() => Task.FromResult(state.State.Draining);

    public async Task DrainAsync(int brokerId, bool isUndone)
    {
        int[] others = Array.FindAll(state.State.Draining, id => id != brokerId);
        if (isUndone)
        {
            await WriteAsync(state.State with { Draining = others });
            return;
        }

        if (!balancer.IsAvailable)
            throw new ArusException(ErrorCode.InvalidRequest, "This is a single node: there is no broker to which anything could go.");

        IReadOnlyCollection<BalanceBroker> live = await balancer.LiveAsync(others);
        if (!live.Any(broker => broker.Id == brokerId))
        {
            throw new ArusException(
                ErrorCode.BrokerIdNotRegistered,
                $"Broker {brokerId} is not alive; those that are: {string.Join(", ", live.Select(broker => broker.Id).Order())}.");
        }

        if (live.All(broker => broker.IsDraining || broker.Id == brokerId))
            throw new ArusException(ErrorCode.InvalidRequest, "Every other live broker is being drained, too: nobody could take anything.");

        await WriteAsync(state.State with { Draining = [.. others.Append(brokerId).Order()] });
        await balancer.RunAsync(state.State);
    }

    public Task PauseRebalanceAsync(bool isPaused) => WriteAsync(state.State with { IsPaused = isPaused });

    public async Task<bool> BalanceAsync()
    {
        await state.ReadStateAsync();
        if (_claim < 0)
        {
            await WriteAsync(state.State with { Claim = state.State.Claim + 1 });
            _claim = state.State.Claim;
        }

        if (_claim != state.State.Claim)
        {
            DeactivateOnIdle();
            return false;
        }

        return await balancer.RunAsync(state.State);
    }

    private Task WriteAsync(ControllerState next) => state.ReplaceAsync(next, this, "The operation of the cluster");
}
