using Arus.Grains;
using Arus.Protocol;

namespace Arus.Cluster.Tests;

/// <summary>What an operator asks of a cluster: other leaders, other replicas.</summary>
public sealed class OperationTests : IAsyncLifetime
{
    private static readonly (string, string) MinTwo = ("min.insync.replicas", "2");

    private BrokerCluster _cluster = null!;

    private IControllerGrain Controller => _cluster.Grains.GetGrain<IControllerGrain>(0);

    public async Task InitializeAsync() => _cluster = await BrokerCluster.StartReplicatedAsync(4);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task A_partition_gets_other_replicas_while_it_is_appended_to_and_nothing_is_lost()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int i = 0; i < 20; i++)
            await topic.AppendAsync($"a{i}");

        Assert.Equal(ErrorCode.None, await ReassignAsync(4, 3));
        for (int i = 0; i < 20; i++)
            await topic.AppendAsync($"b{i}");

        PartitionAssignment after = await topic.BecomesAsync(partition => partition is { Leader: 4, Isr.Length: 2 });
        Assert.Equal([4, 3], after.Replicas);
        Assert.Empty((await Controller.ListPartitionReassignmentsAsync(new() { Topics = null })).Topics);
        await topic.AppendAsync("c");
        await topic.CheckAsync();

        // As many replicas are given to a partition that is added.
        TopicDescription grown = await _cluster.Topic("t").CreatePartitionsAsync(2, null, validateOnly: false);
        Assert.Equal(2, grown.Partitions[1].Replicas.Length);
    }

    [Fact]
    public async Task A_reassignment_that_cannot_end_is_listed_and_cancelled()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        await topic.BecomesAsync(partition => partition is { Leader: 1, Isr.Length: 3 });
        Assert.Equal(ErrorCode.NoReassignmentInProgress, await ReassignAsync(null));
        Assert.Equal(ErrorCode.InvalidReplicaAssignment, await ReassignAsync(9, 1));
        foreach (int broker in new[] { 1, 2, 3 })
            _cluster.Cut(broker, 4);

        Assert.Equal(ErrorCode.None, await ReassignAsync(1, 2, 4));
        ListPartitionReassignmentsResponse listed = await Controller.ListPartitionReassignmentsAsync(
            new() { Topics = [new() { Name = "t", PartitionIndexes = [0] }] });
        ListPartitionReassignmentsResponse.OngoingPartitionReassignment one = listed.Topics.Single().Partitions.Single();
        Assert.Equal(([1, 2, 4, 3], [4], [3]), (one.Replicas, one.AddingReplicas, one.RemovingReplicas), SameArrays);
        PartitionAssignment during = await topic.BecomesAsync(_ => true);
        Assert.Equal([1, 2, 4, 3], during.Replicas);
        Assert.Equal(1, (await Controller.DescribeBalanceAsync()).Reassigning);
        await topic.AppendAsync("a");

        Assert.Equal(ErrorCode.None, await ReassignAsync(null));
        PartitionAssignment after = await topic.BecomesAsync(_ => true);
        Assert.Equal([1, 2, 3], after.Replicas);
        _cluster.Mend();
        await topic.AppendAsync("b");
        await topic.CheckAsync();
    }

    [Fact]
    public async Task The_preferred_leader_leads_again_when_an_operator_asks_for_it()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [2, 1, 3], MinTwo);
        await topic.BecomesAsync(partition => partition is { Leader: 2, Isr.Length: 3 });
        Assert.Equal(ErrorCode.ElectionNotNeeded, await ElectAsync(0));
        await _cluster.StopAsync(2);
        await topic.BecomesAsync(partition => partition.Leader is 1 or 3);
        Assert.Equal(ErrorCode.PreferredLeaderNotAvailable, await ElectAsync(0));
        Assert.Equal(ErrorCode.ElectionNotNeeded, await ElectAsync(1));
        await _cluster.RestartAsync(2);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        ElectLeadersResponse all = await Controller.ElectLeadersAsync(new() { TopicPartitions = null, TimeoutMs = 10_000 });
        Assert.Equal(ErrorCode.None, all.ReplicaElectionResults.Single().PartitionResult.Single().ErrorCode);
        Assert.Equal(2, (await topic.BecomesAsync(_ => true)).Leader);
        ClusterBalance balance = await Controller.DescribeBalanceAsync();
        Assert.Equal((1, 0, 0), (balance.Partitions, balance.Leaderless, balance.UnderReplicated));
        Assert.Equal([0, 1, 0, 0], balance.Brokers.Select(broker => broker.Leaders));
        Assert.Equal([1, 1, 1, 0], balance.Brokers.Select(broker => broker.Replicas));
    }

    [Fact]
    public async Task Who_is_out_of_sync_leads_when_an_operator_says_so()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2]);
        await topic.BecomesAsync(partition => partition is { Leader: 1, Isr.Length: 2 });
        await _cluster.KillAsync(2);
        await topic.BecomesAsync(partition => partition.Isr is [1]);
        await topic.AppendAsync("lost");
        await _cluster.KillAsync(1);
        await _cluster.RestartAsync(2);
        await topic.BecomesAsync(partition => partition.Leader == -1);
        Assert.Equal(ErrorCode.PreferredLeaderNotAvailable, await ElectAsync(0));
        Assert.Equal(ErrorCode.None, await ElectAsync(1));
        Assert.Equal(2, (await topic.BecomesAsync(_ => true)).Leader);
    }

    [Fact]
    public async Task A_drained_broker_leads_and_keeps_nothing_and_is_stopped_without_anybody_noticing()
    {
        await _cluster.Topic("many").CreateAsync(new TopicSpec(12, 3, null, [], false));
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [2, 1, 3], MinTwo);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int i = 0; i < 10; i++)
            await topic.AppendAsync($"a{i}");

        await Assert.ThrowsAsync<ArusException>(() => Controller.DrainAsync(9, isUndone: false));
        await Controller.DrainAsync(2, isUndone: false);
        ClusterBalance drained = await BrokerCluster.EventuallyAsync(
            Controller.DescribeBalanceAsync, balance => balance.Brokers[1] is { Remaining: 0, Replicas: 0, Leaders: 0 });
        Assert.Equal((13, 0, 0, true), (drained.Partitions, drained.Leaderless, drained.Reassigning, drained.Brokers[1].IsDraining));
        PartitionAssignment before = await topic.BecomesAsync(_ => true);
        Assert.Equal([1, 3, 4], before.Replicas.Order());
        TopicDescription later = await _cluster.CreateTopicAsync("later", 4);
        Assert.DoesNotContain(later.Partitions, partition => partition.Replicas.Contains(2));
        await topic.AppendAsync("b");

        await _cluster.StopAsync(2);
        await topic.AppendAsync("c");
        PartitionAssignment after = await topic.BecomesAsync(_ => true);
        Assert.Equal((before.Leader, before.LeaderEpoch), (after.Leader, after.LeaderEpoch));
        await topic.CheckAsync();

        await Controller.DrainAsync(2, isUndone: true);
        Assert.Empty(await Controller.GetDrainingAsync());
    }

    [Fact]
    public async Task A_broker_that_joins_takes_its_share_of_replicas_and_leaders()
    {
        await _cluster.Topic("many").CreateAsync(new TopicSpec(24, 2, null, [], false));
        await _cluster.StopAsync(4);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        for (int i = 0; i < 20; i++)
            await topic.AppendAsync($"a{i}");

        await _cluster.Topic("more").CreateAsync(new TopicSpec(24, 2, null, [], false));
        await _cluster.RestartAsync(4);
        ClusterBalance uneven = await BrokerCluster.EventuallyAsync(
            Controller.DescribeBalanceAsync, balance => balance.Brokers is [_, _, _, { IsAlive: true, OutOfSync: 0 }]);
        Assert.True(uneven is { IsPaused: true, ExcessReplicas: > 0, ExcessLeaders: > 0 }, $"{uneven}");

        await Controller.PauseRebalanceAsync(isPaused: false);
        ClusterBalance even = await BrokerCluster.EventuallyAsync(
            Controller.DescribeBalanceAsync,
            balance => balance is { ExcessReplicas: 0, ExcessLeaders: 0, Reassigning: 0, UnderReplicated: 0, Leaderless: 0 });
        Assert.All(even.Brokers, broker => Assert.InRange(broker.Replicas, 22, 28));
        await BrokerCluster.EventuallyAsync(
            Controller.DescribeBalanceAsync, balance => balance.Brokers.All(broker => broker.Leaders is >= 10 and <= 15));
        await topic.AppendAsync("b");
        await topic.CheckAsync();
    }

    [Fact]
    public async Task A_broker_of_which_nobody_takes_the_replicas_gives_its_leaderships_away()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [4, 3, 2, 1], MinTwo);
        await topic.BecomesAsync(partition => partition is { Leader: 4, Isr.Length: 4 });
        await Controller.DrainAsync(4, isUndone: false);
        PartitionAssignment drained = await topic.BecomesAsync(
            partition => partition.Leader != 4 && partition.Replicas[0] == partition.Leader);
        Assert.Equal(4, drained.Replicas[^1]);
        Assert.Equal(4, drained.Isr.Length);
        await topic.AppendAsync("a");
        await topic.CheckAsync();
    }

    [Fact]
    public async Task A_broker_is_forgotten_when_it_is_gone_and_comes_back_all_the_same()
    {
        IClusterGrain cluster = _cluster.Grains.GetGrain<IClusterGrain>(0);
        ArusException refusal = await Assert.ThrowsAsync<ArusException>(() => cluster.UnregisterBrokerAsync(4));
        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        await _cluster.StopAsync(4);
        await BrokerCluster.EventuallyAsync(cluster.DescribeAsync, description => description.Brokers.Length == 3);
        await cluster.UnregisterBrokerAsync(4);
        refusal = await Assert.ThrowsAsync<ArusException>(() => cluster.UnregisterBrokerAsync(4));
        Assert.Equal(ErrorCode.BrokerIdNotRegistered, refusal.Code);
        await _cluster.RestartAsync(4);
        await BrokerCluster.EventuallyAsync(cluster.DescribeAsync, description => description.Brokers.Length == 4);
    }

    private static bool SameArrays((int[], int[], int[]) a, (int[], int[], int[]) b) =>
        a.Item1.SequenceEqual(b.Item1) && a.Item2.SequenceEqual(b.Item2) && a.Item3.SequenceEqual(b.Item3);

    private async Task<ErrorCode> ReassignAsync(params int[]? replicas)
    {
        AlterPartitionReassignmentsResponse response = await Controller.AlterPartitionReassignmentsAsync(
            new() { Topics = [new() { Name = "t", Partitions = [new() { Replicas = replicas }] }] });
        return response.Responses.Single().Partitions.Single().ErrorCode;
    }

    private async Task<ErrorCode> ElectAsync(sbyte type)
    {
        ElectLeadersResponse response = await Controller.ElectLeadersAsync(
            new() { ElectionType = type, TopicPartitions = [new() { Topic = "t", Partitions = [0] }], TimeoutMs = 10_000 });
        return response.ReplicaElectionResults.Single().PartitionResult.Single().ErrorCode;
    }
}
