namespace Arus.Grains.Tests;

public sealed class ReplicaPlacerTests
{
    private static readonly LiveBroker[] Brokers = [new(1, null), new(2, null), new(3, null)];

    [Fact]
    public void Partitions_are_spread_evenly_from_a_rotating_start()
    {
        int[][] plan = ReplicaPlacer.Place(Spec(7), 1, 1, Brokers, 2);
        Assert.Equal([3, 1, 2, 3, 1, 2, 3], plan.Select(replicas => Assert.Single(replicas)));
    }

    [Fact]
    public void New_partitions_go_on_where_the_old_ones_ended()
    {
        int[][] before = ReplicaPlacer.Place(Spec(4), 1, 1, Brokers, 1);
        int[][] added = ReplicaPlacer.PlaceAdded(4, 1, 6, null, Brokers, 1);
        Assert.Equal(ReplicaPlacer.Place(Spec(6), 1, 1, Brokers, 1), before.Concat(added));
    }

    [Fact]
    public void Minus_one_stands_for_the_brokers_defaults() => Assert.Equal(5, ReplicaPlacer.Place(Spec(-1), 5, 1, Brokers, 0).Length);

    [Fact]
    public void An_assignment_is_taken_as_it_is() =>
        Assert.Equal([[2], [2]], ReplicaPlacer.Place(new TopicSpec(-1, -1, [[2], [2]], [], false), 1, 1, Brokers, 0));

    [Theory]
    [InlineData(0)]
    [InlineData(-2)]
    public void A_wrong_number_of_partitions_is_refused(int partitions) =>
        Assert.Equal(ErrorCode.InvalidPartitions, Refusal(() => ReplicaPlacer.Place(Spec(partitions), 1, 1, Brokers, 0)).Code);

    [Fact]
    public void Too_many_partitions_are_against_the_policy()
    {
        const int TooMany = ReplicaPlacer.MaxPartitions + 1;
        Assert.Equal(ErrorCode.PolicyViolation, Refusal(() => ReplicaPlacer.Place(Spec(TooMany), 1, 1, Brokers, 0)).Code);
        Assert.Equal(ErrorCode.PolicyViolation, Refusal(() => ReplicaPlacer.PlaceAdded(1, 1, TooMany, null, Brokers, 0)).Code);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void Replication_is_refused_rather_than_pretended(short factor)
    {
        ArusException refusal = Refusal(() => ReplicaPlacer.Place(new TopicSpec(1, factor, null, [], false), 1, 1, Brokers, 0));
        Assert.Equal(ErrorCode.InvalidReplicationFactor, refusal.Code);
        Assert.Contains($"{factor}", refusal.Message);
    }

    [Fact]
    public void Without_brokers_there_is_no_plan() =>
        Assert.Equal(ErrorCode.BrokerNotAvailable, Refusal(() => ReplicaPlacer.Place(Spec(1), 1, 1, [], 0)).Code);

    [Fact]
    public void An_assignment_to_a_broker_that_is_not_there_is_refused()
    {
        ArusException refusal = Refusal(() => ReplicaPlacer.Place(new TopicSpec(-1, -1, [[9]], [], false), 1, 1, Brokers, 0));
        Assert.Equal(ErrorCode.InvalidReplicaAssignment, refusal.Code);
        Assert.Contains("9", refusal.Message);
    }

    [Fact]
    public void An_assignment_of_several_replicas_is_refused() =>
        Assert.Equal(
            ErrorCode.InvalidReplicationFactor,
            Refusal(() => ReplicaPlacer.Place(new TopicSpec(-1, -1, [[1, 2]], [], false), 1, 1, Brokers, 0)).Code);

    [Fact]
    public void An_assignment_names_a_broker_once_and_as_many_as_the_first()
    {
        foreach (int[][] wrong in new int[][][] { [[1, 1]], [[1], [1, 2]], [[1, 2], [1]], [[1], []], [[1], [-1]] })
        {
            ArusException refusal = Refusal(() => ReplicaPlacer.Place(new TopicSpec(-1, -1, wrong, [], false), 1, 1, Brokers, 0));
            Assert.Equal(ErrorCode.InvalidReplicaAssignment, refusal.Code);
        }
    }

    [Fact]
    public void A_number_and_an_assignment_may_not_contradict_each_other() =>
        Assert.Equal(
            ErrorCode.InvalidRequest, Refusal(() => ReplicaPlacer.Place(new TopicSpec(3, -1, [[1]], [], false), 1, 1, Brokers, 0)).Code);

    [Theory]
    [InlineData(4)]
    [InlineData(3)]
    public void A_topic_does_not_shrink(int total) =>
        Assert.Equal(ErrorCode.InvalidPartitions, Refusal(() => ReplicaPlacer.PlaceAdded(4, 1, total, null, Brokers, 0)).Code);

    [Fact]
    public void Each_added_partition_needs_its_own_assignment() =>
        Assert.Equal(ErrorCode.InvalidReplicaAssignment, Refusal(() => ReplicaPlacer.PlaceAdded(1, 1, 3, [[1]], Brokers, 0)).Code);

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Replicas_of_a_partition_are_in_different_racks_and_all_brokers_have_as_many(short factor)
    {
        LiveBroker[] brokers =
            [new(1, "a"), new(2, "a"), new(3, "b"), new(4, "b"), new(5, "c"), new(6, "c")];
        int[][] plan = ReplicaPlacer.Place(new TopicSpec(30, factor, null, [], false), 1, 1, brokers, 5, replicates: true);
        Assert.All(plan, replicas => Assert.Equal(factor, replicas.Select(id => (id - 1) / 2).Distinct().Count()));
        Assert.All(plan.GroupBy(replicas => replicas[0]), led => Assert.Equal(5, led.Count()));
        IEnumerable<int> kept = plan.SelectMany(replicas => replicas).CountBy(id => id).Select(pair => pair.Value);
        Assert.All(kept, count => Assert.InRange(count, (5 * factor) - 3, (5 * factor) + 3));
    }

    [Fact]
    public void With_fewer_racks_than_replicas_each_rack_has_one_and_other_brokers_the_rest()
    {
        LiveBroker[] brokers = [new(1, "a"), new(2, "a"), new(3, "a"), new(4, "b")];
        int[][] plan = ReplicaPlacer.Place(new TopicSpec(12, 3, null, [], false), 1, 1, brokers, 0, replicates: true);
        Assert.All(plan, replicas => Assert.Equal(3, replicas.Distinct().Count()));
        Assert.All(plan, replicas => Assert.Contains(4, replicas));
    }

    private static TopicSpec Spec(int partitions) => new(partitions, -1, null, [], false);

    private static ArusException Refusal(Action action) => Assert.Throws<ArusException>(action);
}
