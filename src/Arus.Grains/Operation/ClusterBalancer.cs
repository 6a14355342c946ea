using Arus.Coordination.Balance;
using Arus.Coordination.Replication;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Moves what the balance of the cluster wants to move, some at a time. It remembers nothing: what is under way is in the states of the
/// partitions, so whoever goes on knows as much. One caller at a time.
/// </summary>
/// <param name="calls">Null on a single node, where nothing can be moved.</param>
internal sealed partial class ClusterBalancer(
    PartitionLookup partitions, IGrainFactory grains, Reassignments reassignments, ILogger<ClusterBalancer> logger,
    ReplicaCalls? calls = null)
{
    /// <summary>Partitions that get copies on other brokers at the same time, those included that operators reassign.</summary>
    public const int MaxReassignments = 16;

    /// <summary>Partitions of which nothing but the order of the replicas, or the leader, changes in one round.</summary>
    private const int MaxReordered = 1_000;

    public bool IsAvailable => calls is not null;

    /// <summary>Begins some of what is to be done.</summary>
    /// <returns>Whether there is anything to be done, or under way.</returns>
    public async Task<bool> RunAsync(IReadOnlyCollection<int> draining)
    {
        if (calls is null || draining.Count == 0)
            return false;

        IReadOnlyCollection<BalanceBroker> live = await LiveAsync(draining);
        IReadOnlyList<PartitionState> states = await partitions.AllAsync();
        var plan = new DrainPlan(live, states);
        PlannedReplicas[] all = [.. plan.Replicas()];
        PlannedLeader[] leaders = [.. plan.Leaders().Take(MaxReordered)];
        int room = Math.Max(0, MaxReassignments - states.Count(state => !state.Target.IsEmpty));
        PlannedReplicas[] some = [.. all.Where(one => one.Copies).Take(room), .. all.Where(one => !one.Copies).Take(MaxReordered)];
        if (some.Length > 0)
            await BeginAsync(some);

        foreach (IGrouping<int, PlannedLeader> leader in leaders.GroupBy(one => one.State.Leader))
            calls.Elect(leader.Key, [.. leader.Select(ToElection)]);

        return all.Length > 0 || leaders.Length > 0;
    }

    /// <summary>The brokers that are alive, as the balance sees them.</summary>
    public async Task<IReadOnlyCollection<BalanceBroker>> LiveAsync(IReadOnlyCollection<int> draining) =>
    [
        .. (await grains.GetGrain<IClusterGrain>(0).DescribeAsync()).Brokers
            .Select(broker => new BalanceBroker(broker.BrokerId, broker.Rack, draining.Contains(broker.BrokerId))),
    ];

    private static LeaderElection ToElection(PlannedLeader plan) => new(plan.State.Id.TopicId, plan.State.Id.Partition, plan.Target);

    private async Task BeginAsync(PlannedReplicas[] plan)
    {
        foreach ((TopicPartition partition, ArusException refusal) in await reassignments.BeginAsync(plan))
            LogRefused(partition, refusal.Message);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Partition} does not get other replicas now: {Reason}")]
    private partial void LogRefused(TopicPartition partition, string reason);
}
