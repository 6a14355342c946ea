using System.Collections.Immutable;
using Arus.Coordination.Balance;
using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Balance;

/// <summary>How leaders and replicas are spread over brokers again.</summary>
public sealed class RebalancePlanTests
{
    [Theory]
    [InlineData(300, 3, 4, 3)]
    [InlineData(300, 3, 5, 3)]
    [InlineData(40, 3, 4, 2)]
    [InlineData(10, 1, 3, 1)]
    [InlineData(1_000, 3, 6, 3)]
    public void A_broker_that_joins_takes_its_share(int partitions, int before, int after, int factor)
    {
        PartitionState[] states = Spread(partitions, before, factor);
        BalanceBroker[] brokers = Brokers(after);
        (PartitionState[] result, int copies) = CarryOut(brokers, states);

        Check(result, brokers, id => result.Count(state => state.Replicas.Contains(id)));
        Check(result, brokers, id => result.Count(state => state.Replicas[0] == id));
        Assert.All(result, state => Assert.Equal(factor, state.Replicas.Distinct().Count()));

        // No more is copied than what the new brokers get.
        int share = partitions * factor * (after - before) / after;
        Assert.InRange(copies, 0, share + after);
        Assert.Equal((0, 0), (new RebalancePlan(brokers, result).ExcessReplicas, new RebalancePlan(brokers, result).ExcessLeaders));
    }

    [Fact]
    public void The_same_input_gives_the_same_plan_whatever_its_order()
    {
        PartitionState[] states = Spread(100, 3, 3);
        string Plan(IEnumerable<PartitionState> input, IEnumerable<BalanceBroker> brokers) => string.Join(
            ' ',
            new RebalancePlan([.. brokers], [.. input]).Copies()
                .Select(one => $"{one.State.Id.Partition}:{string.Join(',', one.Replicas)}"));
        Assert.Equal(Plan(states, Brokers(5)), Plan(states.Reverse(), Brokers(5).Reverse()));
    }

    [Fact]
    public void Racks_stay_as_far_apart_as_they_are()
    {
        // Brokers 1 and 2 are in rack a, 3 in b; 4 joins a: it takes from 1 and 2 only, since else two replicas came into one rack.
        BalanceBroker[] brokers = [new(1, "a", false), new(2, "a", false), new(3, "b", false), new(4, "a", false)];
        PartitionState[] states =
            [.. Enumerable.Range(0, 90).Select(i => State(i, i % 2 == 0 ? [3, (i / 2 % 2) + 1] : [(i / 2 % 2) + 1, 3]))];
        (PartitionState[] result, _) = CarryOut(brokers, states);
        Assert.All(result, state => Assert.Contains(3, state.Replicas));
        int[] inA = [.. new[] { 1, 2, 4 }.Select(id => result.Count(state => state.Replicas.Contains(id)))];
        Assert.True(inA.Max() - inA.Min() <= 4, string.Join(' ', inA));
    }

    [Fact]
    public void What_is_even_enough_stays_as_it_is()
    {
        PartitionState[] states = Spread(90, 3, 2);
        var plan = new RebalancePlan(Brokers(3), states);
        Assert.Empty(plan.Copies());
        Assert.Empty(plan.Leaders());
    }

    [Fact]
    public void Nothing_goes_to_or_from_brokers_that_are_away_or_drained_and_what_moves_is_left_alone()
    {
        PartitionState[] states = Spread(60, 3, 2);
        states[0] = states[0] with { Target = [4, 5] };
        BalanceBroker[] brokers = [new(1, null, false), new(2, null, true), new(4, null, false)];
        PlannedReplicas[] plan = [.. new RebalancePlan(brokers, states).Copies()];
        Assert.NotEmpty(plan);
        Assert.All(plan, one =>
        {
            Assert.NotEqual(0, one.State.Id.Partition);
            Assert.Equal([1], one.State.Replicas.Except(one.Replicas));
            Assert.Equal([4], one.Replicas.Except(one.State.Replicas));
        });
    }

    [Fact]
    public void Nobody_becomes_leader_who_is_not_in_sync()
    {
        PartitionState[] states =
            [.. Enumerable.Range(0, 20).Select(i => State(i, 1, 2) with { Isr = [new ReplicaId(1, Guid.Empty)] })];
        Assert.Empty(new RebalancePlan(Brokers(2), states).Leaders());
        Assert.Equal(9, new RebalancePlan(Brokers(2), states).ExcessLeaders);
    }

    [Fact]
    public void Preferred_leaders_in_sync_lead_where_the_leaders_are_uneven()
    {
        PartitionState[] states = [.. Spread(30, 3, 3).Select(state => state with { Leader = 1 })];
        states[1] = states[1] with { Isr = [new ReplicaId(1, Guid.Empty)] };
        PlannedLeader[] plan = [.. new RebalancePlan(Brokers(3), states).PreferredLeaders()];
        Assert.Equal(19, plan.Length);
        Assert.All(plan, one => Assert.Equal(one.State.Replicas[0], one.Target));
        Assert.Empty(new RebalancePlan(Brokers(3), Spread(30, 3, 3)).PreferredLeaders());
    }

    /// <summary>Carries plans out in rounds, as the balancer does.</summary>
    private static (PartitionState[] States, int Copies) CarryOut(BalanceBroker[] brokers, PartitionState[] states)
    {
        int copies = 0;
        for (int round = 0; round < 1_000; round++)
        {
            PlannedReplicas[] some = [.. new RebalancePlan(brokers, states).Copies().Take(16)];
            copies += some.Length;
            if (some.Length == 0)
                some = [.. new RebalancePlan(brokers, states).Leaders().Take(100)];

            if (some.Length == 0)
                return (states, copies);

            Dictionary<PartitionId, PlannedReplicas> planned = [];
            foreach (PlannedReplicas one in some)
                planned[one.State.Id] = one;

            states = [.. states.Select(state => planned.TryGetValue(state.Id, out PlannedReplicas plan)
                ? State(state.Id.Partition, [.. plan.Replicas]) : state)];
        }

        throw new InvalidOperationException("the plans never end");
    }

    private static void Check(PartitionState[] states, BalanceBroker[] brokers, Func<int, int> countOf)
    {
        int[] counts = [.. brokers.Select(broker => countOf(broker.Id))];
        double even = counts.Average();
        Assert.All(counts, count => Assert.True(
            Math.Abs(count - even) <= Math.Max(1, even / 10), $"{string.Join(' ', counts)} of {states.Length}"));
    }

    private static PartitionState[] Spread(int partitions, int brokers, int factor) =>
        [.. Enumerable.Range(0, partitions).Select(i => State(i, [.. Enumerable.Range(i, factor).Select(j => (j % brokers) + 1)]))];

    private static BalanceBroker[] Brokers(int count) =>
        [.. Enumerable.Range(1, count).Select(id => new BalanceBroker(id, null, false))];

    private static PartitionState State(int partition, params int[] replicas) => new(
        "t", new PartitionId(new Guid(1, 2, 3, new byte[8]), partition), 1, 0, replicas[0], [.. replicas],
        [.. replicas.Select(broker => new ReplicaId(broker, Guid.Empty))], []);
}
