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
