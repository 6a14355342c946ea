using Arus.Grains;

namespace Arus.Cluster.Tests;

public sealed class FailoverTests
{
    [Fact]
    public async Task Partitions_are_led_by_the_brokers_they_are_assigned_to()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartAsync(3);
        await BrokerCluster.EventuallyAsync(
            cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync, description => description.Brokers.Length == 3);
        TopicDescription topic = await cluster.CreateTopicAsync("spread", 9);
        Assert.All(topic.Partitions.GroupBy(partition => partition.Replicas[0]), group => Assert.Equal(3, group.Count()));
        foreach (PartitionAssignment assignment in topic.Partitions)
        {
            PartitionAppendResult appended = await cluster.Partition("spread", assignment.Partition).AppendAsync(Batches.Append("x"));
            Assert.Equal(ErrorCode.None, appended.Results[0].Error);
            Assert.Equal(assignment.Replicas[0], (await cluster.Partition("spread", assignment.Partition).DescribeAsync()).Leader);
        }

        TopicDescription led = await BrokerCluster.EventuallyAsync(
            async () => (await cluster.Topic("spread").DescribeAsync())!,
            description => description.Partitions.All(partition => partition.LeaderEpoch >= 0));
        Assert.All(led.Partitions, partition => Assert.Equal(partition.Replicas[0], partition.Leader));
    }

    [Fact]
    public async Task A_killed_brokers_partitions_wait_for_it_and_the_others_go_on()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartAsync(2);
        await BrokerCluster.EventuallyAsync(
            cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync, description => description.Brokers.Length == 2);
        await cluster.CreateTopicOnAsync("pinned", 1, 2);
        IPartitionGrain stays = cluster.Partition("pinned", 0);
        IPartitionGrain dies = cluster.Partition("pinned", 1);
        await stays.AppendAsync(Batches.Append("s0"));
        await dies.AppendAsync(Batches.Append("d0"));
        int epoch = (await dies.DescribeAsync()).LeaderEpoch;

        await cluster.KillAsync(2);
        PartitionReadResult refused = await BrokerCluster.EventuallyAsync(
            () => dies.FetchAsync(Batches.Fetch(0)), response => response.Error == ErrorCode.LeaderNotAvailable);
        Assert.Empty(refused.Records);
        TopicDescription topic = await BrokerCluster.EventuallyAsync(
            async () => (await cluster.Topic("pinned").DescribeAsync())!, description => description.Partitions[1].Leader == -1);
        Assert.Equal(1, topic.Partitions[0].Leader);

        // A call that was on its way through the killed silo's gateway may fail; appending is not repeated for it, since it could
        // have taken effect. So a question that may be repeated goes first.
        await BrokerCluster.EventuallyAsync(stays.DescribeAsync, description => description.Error == ErrorCode.None);
        Assert.Equal(1, (await stays.AppendAsync(Batches.Append("s1"))).Results[0].BaseOffset);
        ClusterDescription alone = await BrokerCluster.EventuallyAsync(
            cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync, description => description.Brokers.Length == 1);
        Assert.Equal([1], alone.Brokers.Select(broker => broker.BrokerId));

        await cluster.RestartAsync(2);
        await BrokerCluster.EventuallyAsync(dies.DescribeAsync, description => description.Error == ErrorCode.None);
        PartitionAppendResult back = await dies.AppendAsync(Batches.Append("d1"));
        Assert.Equal(1, back.Results[0].BaseOffset);
        Assert.True(back.LeaderEpoch > epoch);
        Assert.Equal([(0L, "d0"), (1L, "d1")], Batches.Read(await dies.FetchAsync(Batches.Fetch(0))));
    }

    [Fact]
    public async Task With_logs_in_shared_storage_another_broker_takes_over()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(
            2, (BrokerConfigs.LogType, BrokerConfigs.LogTypeStorage));
        await cluster.CreateTopicOnAsync("shared", 2);
        IPartitionGrain partition = cluster.Partition("shared", 0);
        await BrokerCluster.EventuallyAsync(
            () => partition.AppendAsync(Batches.Append("a", "b")), response => response.Results[0].Error == ErrorCode.None);
        PartitionDescription before = await partition.DescribeAsync();
        Assert.Equal(2, before.Leader);

        await cluster.KillAsync(2);
        DeleteRecordsResponse deleted = await BrokerCluster.EventuallyAsync(
            () => partition.DeleteRecordsAsync(1), response => response.Error == ErrorCode.None);
        Assert.Equal(new DeleteRecordsResponse(ErrorCode.None, 1), deleted); // Before the new leader's first append.
        PartitionAppendResult appended = await BrokerCluster.EventuallyAsync(
            () => partition.AppendAsync(Batches.Append("c")), response => response.Results[0].Error == ErrorCode.None);
        Assert.Equal(2, appended.Results[0].BaseOffset);
        PartitionDescription after = await partition.DescribeAsync();
        Assert.Equal(1, after.Leader);
        Assert.True(after.LeaderEpoch > before.LeaderEpoch);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await partition.FetchAsync(Batches.Fetch(0))).Error);
        Assert.Equal((1L, "b"), Batches.Read(await partition.FetchAsync(Batches.Fetch(1))).Single(record => record.Offset == 1));
        Assert.Equal([(2L, "c")], Batches.Read(await partition.FetchAsync(Batches.Fetch(2))));
        TopicDescription topic = await BrokerCluster.EventuallyAsync(
            async () => (await cluster.Topic("shared").DescribeAsync())!,
            description => description.Partitions[0].LeaderEpoch == after.LeaderEpoch);
        Assert.Equal(1, topic.Partitions[0].Leader);
        await cluster.Topic("shared").DeleteAsync();
        await BrokerCluster.EventuallyAsync(
            () => partition.FetchAsync(Batches.Fetch(0)), response => response.Error == ErrorCode.UnknownTopicOrPartition);
    }

    [Fact]
    public async Task Topics_and_the_cluster_id_outlive_every_broker_that_stops()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartAsync(2);
        string clusterId = (await cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync()).ClusterId;
        Assert.Equal(22, clusterId.Length);
        for (int i = 0; i < 20; i++)
            await cluster.CreateTopicAsync($"kept-{i:D2}");

        await cluster.StopAsync(2);
        string[] topics = await BrokerCluster.EventuallyAsync(cluster.ListTopicsAsync, list => list.Length == 20);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"kept-{i:D2}"), topics);
        Assert.Equal(clusterId, (await cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync()).ClusterId);
    }
}
