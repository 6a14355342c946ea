namespace Arus.Grains.Tests;

public sealed class TopicPlanTests
{
    private static readonly int[] s_brokers = [1, 2, 3];

    [Fact]
    public void Partitions_are_spread_evenly_from_a_rotating_start()
    {
        int[][] plan = TopicPlan.Create(Spec(7), 1, 1, s_brokers, 2);
        Assert.Equal([3, 1, 2, 3, 1, 2, 3], plan.Select(replicas => Assert.Single(replicas)));
    }

    [Fact]
    public void New_partitions_go_on_where_the_old_ones_ended()
    {
        int[][] before = TopicPlan.Create(Spec(4), 1, 1, s_brokers, 1);
        int[][] added = TopicPlan.Grow(4, 6, null, s_brokers, 1);
        Assert.Equal(TopicPlan.Create(Spec(6), 1, 1, s_brokers, 1), before.Concat(added));
    }

    [Fact]
    public void Minus_one_stands_for_the_brokers_defaults() => Assert.Equal(5, TopicPlan.Create(Spec(-1), 5, 1, s_brokers, 0).Length);

    [Fact]
    public void An_assignment_is_taken_as_it_is() =>
        Assert.Equal([[2], [2]], TopicPlan.Create(new TopicSpec(-1, -1, [[2], [2]], [], false), 1, 1, s_brokers, 0));

    [Theory]
    [InlineData(0)]
    [InlineData(-2)]
    [InlineData(TopicPlan.MaxPartitions + 1)]
    public void A_wrong_number_of_partitions_is_refused(int partitions) =>
        Assert.Equal(ErrorCode.InvalidPartitions, Refusal(() => TopicPlan.Create(Spec(partitions), 1, 1, s_brokers, 0)).Code);

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void Replication_is_refused_rather_than_pretended(short factor)
    {
        ArusException refusal = Refusal(() => TopicPlan.Create(new TopicSpec(1, factor, null, [], false), 1, 1, s_brokers, 0));
        Assert.Equal(ErrorCode.InvalidReplicationFactor, refusal.Code);
        Assert.Contains($"{factor}", refusal.Message);
    }

    [Fact]
    public void Without_brokers_there_is_no_plan() =>
        Assert.Equal(ErrorCode.BrokerNotAvailable, Refusal(() => TopicPlan.Create(Spec(1), 1, 1, [], 0)).Code);

    [Fact]
    public void An_assignment_to_a_broker_that_is_not_there_is_refused()
    {
        ArusException refusal = Refusal(() => TopicPlan.Create(new TopicSpec(-1, -1, [[9]], [], false), 1, 1, s_brokers, 0));
        Assert.Equal(ErrorCode.InvalidReplicaAssignment, refusal.Code);
        Assert.Contains("9", refusal.Message);
    }

    [Fact]
    public void An_assignment_of_several_replicas_is_refused() =>
        Assert.Equal(
            ErrorCode.InvalidReplicationFactor, Refusal(() => TopicPlan.Create(new TopicSpec(-1, -1, [[1, 2]], [], false), 1, 1, s_brokers, 0)).Code);

    [Fact]
    public void A_number_and_an_assignment_may_not_contradict_each_other() =>
        Assert.Equal(ErrorCode.InvalidRequest, Refusal(() => TopicPlan.Create(new TopicSpec(3, -1, [[1]], [], false), 1, 1, s_brokers, 0)).Code);

    [Theory]
    [InlineData(4)]
    [InlineData(3)]
    public void A_topic_does_not_shrink(int total) =>
        Assert.Equal(ErrorCode.InvalidPartitions, Refusal(() => TopicPlan.Grow(4, total, null, s_brokers, 0)).Code);

    [Fact]
    public void Each_added_partition_needs_its_own_assignment() =>
        Assert.Equal(ErrorCode.InvalidReplicaAssignment, Refusal(() => TopicPlan.Grow(1, 3, [[1]], s_brokers, 0)).Code);

    private static TopicSpec Spec(int partitions) => new(partitions, -1, null, [], false);

    private static ArusException Refusal(Action action) => Assert.Throws<ArusException>(action);
}
