using Arus.Coordination.Balance;
using Arus.Coordination.Replication;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Moves what the balance of the cluster wants to move, some at a time. It remembers nothing but when it looked: what is under way is in
/// the states of the partitions, so whoever goes on knows as much. One caller at a time.
/// </summary>
/// <param name="calls">Null on a single node, where nothing can be moved.</param>
internal sealed partial class ClusterBalancer(
    PartitionLookup partitions, IGrainFactory grains, Reassignments reassignments, TimeProvider time, ILogger<ClusterBalancer> logger,
    ReplicaCalls? calls = null)
{
    /// <summary>Partitions that get copies on other brokers at the same time, those included that operators reassign.</summary>
    public const int MaxReassignments = 16;

    /// <summary>Partitions of which nothing but the order of the replicas, or the leader, changes in one round.</summary>
    private const int MaxReordered = 1_000;

    /// <summary>How often the spread is looked at while it is even.</summary>
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(10);

    private long _lookedAt = time.GetTimestamp();
    private bool _isSpreading;

    public bool IsAvailable => calls is not null;

    /// <summary>Begins some of what is to be done.</summary>
    /// <returns>Whether there is anything to be done, or under way.</returns>
    public async Task<bool> RunAsync(ControllerState wishes)
    {
        bool isLookedAt = !wishes.IsPaused && (_isSpreading || time.GetElapsedTime(_lookedAt) >= LookInterval);
        if (calls is null || (wishes.Draining.Length == 0 && !isLookedAt))
            return false;

        IReadOnlyCollection<BalanceBroker> live = await LiveAsync(wishes.Draining);
        IReadOnlyList<PartitionState> states = await partitions.AllAsync();
        int room = Math.Max(0, MaxReassignments - states.Count(state => !state.Target.IsEmpty));
        if (wishes.Draining.Length > 0 && await DrainAsync(live, states, room))
            return true;

        _lookedAt = time.GetTimestamp();
        return _isSpreading = isLookedAt && await SpreadAsync(live, states, room);
    }

    private async Task<bool> DrainAsync(IReadOnlyCollection<BalanceBroker> live, IReadOnlyList<PartitionState> states, int room)
    {
        var plan = new DrainPlan(live, states);
        PlannedReplicas[] all = [.. plan.Replicas()];
        PlannedLeader[] leaders = [.. plan.Leaders().Take(MaxReordered)];
        await BeginAsync([.. all.Where(one => one.Copies).Take(room), .. all.Where(one => !one.Copies).Take(MaxReordered)]);
        Elect(leaders);
        return all.Length > 0 || leaders.Length > 0;
    }

    /// <summary>First the copies, since they change who can lead; the order of the replicas when all copies are made.</summary>
    private async Task<bool> SpreadAsync(IReadOnlyCollection<BalanceBroker> live, IReadOnlyList<PartitionState> states, int room)
    {
        var plan = new RebalancePlan(live, states);
        PlannedReplicas[] copies = [.. plan.Copies().Take(room)];
        await BeginAsync(copies);
        if (copies.Length > 0 || room < MaxReassignments)
            return true;

        PlannedReplicas[] reordered = [.. plan.Leaders().Take(MaxReordered)];
        await BeginAsync(reordered);
        if (reordered.Length > 0)
            return true;

        // The states are those of this round: what was reordered in the one before has its preferred leader now.
        PlannedLeader[] leaders = [.. plan.PreferredLeaders().Take(MaxReordered)];
        Elect(leaders);
        return leaders.Length > 0;
    }

    private void Elect(IEnumerable<PlannedLeader> plan)
    {
        foreach (IGrouping<int, PlannedLeader> leader in plan.GroupBy(one => one.State.Leader))
            calls!.Elect(leader.Key, [.. leader.Select(ToElection)]);
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
        if (plan.Length == 0)
            return;

        foreach ((TopicPartition partition, ArusException refusal) in await reassignments.BeginAsync(plan))
            LogRefused(partition, refusal.Message);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Partition} does not get other replicas now: {Reason}")]
    private partial void LogRefused(TopicPartition partition, string reason);
}
