using System.Collections.Immutable;
using Arus.Coordination.Balance;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Balance;

/// <summary>What moves off brokers that are drained.</summary>
public sealed class DrainPlanTests
{
    [Fact]
    public void Replicas_go_to_brokers_that_have_the_fewest_and_the_leaders_are_spread()
    {
        PartitionState[] partitions =
            [.. Enumerable.Range(0, 60).Select(i => Partition(i, (i % 4) + 1, ((i + 1) % 4) + 1, ((i + 2) % 4) + 1))];
        PlannedReplicas[] plan = [.. new DrainPlan(Brokers(5, draining: 4), partitions).Replicas()];

        Assert.Equal(45, plan.Length);
        Assert.All(plan, one => Assert.DoesNotContain(4, one.Replicas));
        Assert.All(plan, one => Assert.Equal(3, one.Replicas.Distinct().Count()));
        Assert.All(plan, one => Assert.True(one.Copies));
        int[] kept = CountBy(After(partitions, plan), replicas => replicas);
        Assert.Equal([45, 45, 45, 45], kept);
        int[] led = CountBy(After(partitions, plan), replicas => [replicas[0]]);
        Assert.All(led, count => Assert.InRange(count, 14, 16));
    }

    [Fact]
    public void Where_nobody_can_take_its_place_a_broker_keeps_its_replica_and_leads_it_no_more()
    {
        PartitionState[] partitions = [Partition(0, 3, 1, 2), Partition(1, 1, 3, 2), Partition(2, 3, 2)];
        PlannedReplicas[] plan = [.. new DrainPlan(Brokers(3, draining: 3), partitions).Replicas()];
        Assert.Equal([0, 2], plan.Select(one => one.State.Id.Partition));
        Assert.Equal(3, plan[0].Replicas[^1]);
        Assert.False(plan[0].Copies);
        Assert.Equal<int>([1, 2], plan[1].Replicas.Order());

        // What is done is not done again.
        PartitionState[] after = [.. partitions.Select(state => state with { Replicas = ReplicasAfter(state, plan) })];
        Assert.Empty(new DrainPlan(Brokers(3, draining: 3), after).Replicas());
    }

    [Fact]
    public void Racks_stay_apart_as_far_as_there_are_any()
    {
        BalanceBroker[] brokers =
        [
            new(1, "a", false), new(2, "a", false), new(3, "b", false), new(4, "b", true), new(5, "b", false), new(6, "c", false),
        ];
        PartitionState[] partitions = [.. Enumerable.Range(0, 20).Select(i => Partition(i, 4, 1))];
        PlannedReplicas[] plan = [.. new DrainPlan(brokers, partitions).Replicas()];
        Assert.Equal(20, plan.Length);
        Assert.All(plan, one => Assert.DoesNotContain(2, one.Replicas));
        Assert.All(CountBy(plan.Select(one => one.Replicas), replicas => replicas.Remove(1)), count => Assert.InRange(count, 6, 7));
    }

    [Fact]
    public void Two_brokers_are_drained_at_once_and_neither_takes_from_the_other()
    {
        PartitionState[] partitions = [Partition(0, 1, 2, 3), Partition(1, 2, 4)];
        BalanceBroker[] brokers =
            [.. Brokers(5).Select(broker => broker.Id is 1 or 2 ? broker with { IsDraining = true } : broker)];
        PlannedReplicas[] plan = [.. new DrainPlan(brokers, partitions).Replicas()];
        Assert.Equal<int>([3, 4, 5], plan[0].Replicas.Order());
        Assert.All(plan[1].Replicas, broker => Assert.InRange(broker, 3, 5));
    }

    [Fact]
    public void Leaderships_go_to_replicas_in_sync()
    {
        PartitionState[] partitions =
        [
            Partition(0, 2, 1, 3) with { Leader = 3, Isr = Members(1, 3) }, Partition(1, 3, 1) with { Leader = 3, Isr = Members(3) },
            Partition(2, 1, 3) with { Leader = 1 }, Partition(3, 3) with { Leader = 3, Target = [2], Isr = Members(2, 3) },
        ];
        PlannedLeader[] plan = [.. new DrainPlan(Brokers(3, draining: 3), partitions).Leaders()];
        Assert.Equal([(0, 1), (3, 2)], plan.Select(one => (one.State.Id.Partition, one.Target)));
    }

    [Fact]
    public void What_remains_counts_what_is_on_its_way_and_not_what_has_to_stay()
    {
        PartitionState[] partitions = [Partition(0, 3, 1, 2) with { Leader = 3 }, Partition(1, 1, 3) with { Leader = 1 }];
        Assert.Equal(2, new DrainPlan(Brokers(3, draining: 3), partitions).RemainingOf(3));
        PartitionState[] moving = [partitions[0] with { Leader = 1 }, partitions[1] with { Target = [1, 2] }];
        Assert.Equal(1, new DrainPlan(Brokers(3, draining: 3), moving).RemainingOf(3));
        PartitionState[] moved = [moving[0], partitions[1] with { Replicas = [1, 2] }];
        Assert.Equal(0, new DrainPlan(Brokers(3, draining: 3), moved).RemainingOf(3));
    }

    private static BalanceBroker[] Brokers(int count, int draining = -1) =>
        [.. Enumerable.Range(1, count).Select(id => new BalanceBroker(id, null, id == draining))];

    private static PartitionState Partition(int partition, params int[] replicas) => new(
        "t", new PartitionId(new Guid(1, 2, 3, new byte[8]), partition), 1, 0, replicas[0], [.. replicas], Members(replicas), []);

    private static ImmutableArray<ReplicaId> Members(params int[] brokers) =>
        [.. brokers.Select(broker => new ReplicaId(broker, Guid.Empty))];

    private static ImmutableArray<int> ReplicasAfter(PartitionState state, PlannedReplicas[] plan) =>
        Array.Find(plan, one => one.State == state) is { State: not null } planned ? planned.Replicas : state.Replicas;

    private static IEnumerable<ImmutableArray<int>> After(PartitionState[] partitions, PlannedReplicas[] plan) =>
        partitions.Select(state => ReplicasAfter(state, plan));

    /// <summary>How often each broker is named, in the order of the brokers.</summary>
    private static int[] CountBy(IEnumerable<ImmutableArray<int>> all, Func<ImmutableArray<int>, ImmutableArray<int>> brokers) =>
        [.. all.SelectMany(replicas => brokers(replicas)).CountBy(id => id).OrderBy(pair => pair.Key).Select(pair => pair.Value)];
}
