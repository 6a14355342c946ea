using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

/// <summary>Partitions in several copies, on real silos that are killed, stopped and started again.</summary>
public sealed class ReplicationTests : IAsyncLifetime
{
    private static readonly (string, string) MinTwo = ("min.insync.replicas", "2");

    private BrokerCluster _cluster = null!;

    public async Task InitializeAsync() => _cluster = await BrokerCluster.StartReplicatedAsync(3);

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Fact]
    public async Task What_was_acknowledged_outlives_its_leader_and_the_isr_shrinks_and_grows()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [2, 1, 3], MinTwo);
        PartitionAssignment before = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int i = 0; i < 10; i++)
            await topic.AppendAsync($"a{i}");

        await _cluster.KillAsync(before.Leader);
        PartitionAppendResult appended = await topic.AppendAsync("b");
        Assert.True(appended.LeaderEpoch > before.LeaderEpoch);
        await topic.CheckAsync();
        PartitionAssignment after = await topic.BecomesAsync(partition => partition.Isr.Length == 2);
        Assert.NotEqual(before.Leader, after.Leader);
        Assert.DoesNotContain(before.Leader, after.Isr);

        await _cluster.RestartAsync(before.Leader);
        await topic.AppendAsync("c");
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.CheckAsync();
    }

    [Fact]
    public async Task Below_the_minimum_of_replicas_in_sync_appends_are_refused_until_they_are_back()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");
        await _cluster.KillAsync(2);
        await topic.AppendAsync("b");
        await _cluster.KillAsync(3);
        await BrokerCluster.EventuallyAsync(() => topic.TryAppendAsync("c"), error => error == ErrorCode.NotEnoughReplicas);
        await _cluster.RestartAsync(3);
        await topic.AppendAsync("d");
        await _cluster.RestartAsync(2);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.CheckAsync();
    }

    [Fact]
    public async Task Every_broker_is_restarted_and_nothing_acknowledged_is_lost()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3], MinTwo);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int round = 0; round < 2; round++)
        {
            foreach (int broker in new[] { 1, 2, 3 })
            {
                await topic.AppendAsync($"before {round}-{broker}");
                await _cluster.StopAsync(broker);
                await topic.AppendAsync($"during {round}-{broker}");
                await _cluster.RestartAsync(broker);
                await topic.AppendAsync($"after {round}-{broker}");
            }
        }

        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.CheckAsync();
    }

    [Fact]
    public async Task A_deleted_topic_leaves_nothing_and_its_namesake_begins_anew()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3]);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");
        await _cluster.Topic("t").DeleteAsync();
        await BrokerCluster.EventuallyAsync(
            () => Task.FromResult(Enumerable.Range(1, 3).Sum(LogsOf)), directories => directories == 0);

        ReplicatedTopic namesake = await ReplicatedTopic.CreateAsync(_cluster, "t", [3, 2, 1]);
        PartitionAppendResult appended = await namesake.AppendAsync("b");
        Assert.Equal(0, appended.Results[0].BaseOffset);
        await namesake.CheckAsync();
    }

    [Fact]
    public async Task A_broker_that_lost_its_disk_is_not_taken_for_in_sync()
    {
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(_cluster, "t", [1, 2, 3]);
        ReplicatedTopic alone = await ReplicatedTopic.CreateAsync(_cluster, "alone", [3]);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int i = 0; i < 5; i++)
        {
            await topic.AppendAsync($"a{i}");
            await alone.AppendAsync($"a{i}");
        }

        await _cluster.KillAsync(3);
        Directory.Delete(_cluster.LogDirectory(3), recursive: true);
        await _cluster.RestartAsync(3);

        // It gets everything from the others before it counts again.
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await _cluster.KillAsync(1);
        await _cluster.KillAsync(2);
        await topic.BecomesAsync(partition => partition.Leader == 3);
        await topic.AppendAsync("b");
        await topic.CheckAsync();

        // Of this one there is no other copy: it stays offline rather than to begin anew at offset 0.
        Assert.Equal(-1, (await alone.BecomesAsync(_ => true)).Leader);
        Assert.NotEqual(ErrorCode.None, await alone.TryAppendAsync("lost"));
    }

    [Fact]
    public async Task A_topic_gets_replicas_on_different_brokers_and_its_leaders_are_spread()
    {
        TopicDescription topic = await _cluster.Topic("spread").CreateAsync(new TopicSpec(6, 3, null, [], false));
        Assert.All(topic.Partitions, partition => Assert.Equal(3, partition.Replicas.Distinct().Count()));
        Assert.All(topic.Partitions.GroupBy(partition => partition.Replicas[0]), led => Assert.Equal(2, led.Count()));

        // Who is slow to open its log is overtaken; the leaderships go to the preferred leaders when these are in sync.
        await BrokerCluster.EventuallyAsync(
            async () =>
            {
                foreach (int broker in new[] { 1, 2, 3 })
                    _cluster.Services(broker).GetRequiredService<ReplicationHost>().MoveToPreferredLeaders();

                return (await _cluster.Topic("spread").DescribeAsync())!;
            },
            description => description.Partitions.All(
                partition => partition.Isr.Length == 3 && partition.Leader == partition.Replicas[0]));
        ArusException refusal = await Assert.ThrowsAsync<ArusException>(
            () => _cluster.Topic("more").CreateAsync(new TopicSpec(1, 4, null, [], false)));
        Assert.Equal(ErrorCode.InvalidReplicationFactor, refusal.Code);
    }

    private int LogsOf(int broker)
    {
        string directory = _cluster.LogDirectory(broker);
        return Directory.Exists(directory) ? Directory.GetDirectories(directory, "t-*", SearchOption.AllDirectories).Length : 0;
    }
}
