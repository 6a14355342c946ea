using Arus.Grains;
using Arus.Storage;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Cluster.Tests;

/// <summary>Replication under faults: brokers that do not reach each other, a database that is away, quick restarts.</summary>
public sealed class ReplicationFaultTests
{
    private static readonly (string, string) MinTwo = ("min.insync.replicas", "2");

    [Fact]
    public async Task A_follower_that_cannot_be_reached_leaves_the_isr_when_it_is_late_and_comes_back()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3, (BrokerConfigs.ReplicaLagTimeMaxMs, "2000"));
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(cluster, "t", [1, 2, 3], MinTwo);
        PartitionAssignment all = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");

        // Its leader's records do not reach broker 3, which answers nobody's questions differently for that.
        cluster.Cut(all.Leader, 3);
        ErrorCode late = await topic.TryAppendAsync("b");
        Assert.Contains(late, new[] { ErrorCode.None, ErrorCode.RequestTimedOut });
        Assert.Equal(all.LeaderEpoch, (await topic.BecomesAsync(_ => true)).LeaderEpoch);
        cluster.Mend();
        await topic.AppendAsync("c");
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.CheckAsync();
    }

    [Fact]
    public async Task A_leader_takes_further_appends_while_earlier_ones_wait_for_its_followers()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(cluster, "t", [1, 2, 3], MinTwo);
        PartitionAssignment all = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");
        var leaders = cluster.Services(all.Leader).GetRequiredService<ILocalLeaders>();
        var partition = new TopicPartition("t", 0);
        foreach (int other in all.Replicas.Where(broker => broker != all.Leader))
        {
            Assert.Null(cluster.Services(other).GetRequiredService<ILocalLeaders>().TryAppend(partition, Batches.Append("elsewhere")));
            cluster.Cut(all.Leader, other);
        }

        PartitionAppend another = Batches.Append("b") with { TopicId = Guid.NewGuid() };
        Assert.Null(leaders.TryAppend(partition, another));
        Task<PartitionAppendResult>[] appends = [.. Enumerable.Range(0, 20).Select(i =>
            leaders.TryAppend(partition, Batches.Append($"b{i}") with { TimeoutMs = 30_000 })!)];
        IPartitionLog log = cluster.Services(all.Leader).GetRequiredService<ReplicationHost>().OpenLogs.Single();
        await BrokerCluster.EventuallyAsync(() => Task.FromResult(log.DurableEndOffset), end => end == 21);
        Assert.DoesNotContain(appends, append => append.IsCompleted);
        cluster.Mend();
        PartitionAppendResult[] results = await Task.WhenAll(appends);
        Assert.Equal(Enumerable.Range(1, 20).Select(offset => (ErrorCode.None, (long)offset)),
            results.Select(result => (result.Results[0].Error, result.Results[0].BaseOffset)));
    }

    [Fact]
    public async Task A_leader_whose_disk_fails_gives_way_and_comes_back_as_another_replica()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(
            cluster, "t", [1, 2, 3], MinTwo, ("internal.segment.bytes", "1000"));
        PartitionAssignment all = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");

        // No further segment can be begun where the directory is gone.
        string directory = Directory.GetDirectories(cluster.LogDirectory(all.Leader), "t-0").Single();
        Directory.Delete(directory, recursive: true);
        for (int i = 0; i < 50; i++)
            await topic.AppendAsync($"b{i}");

        Assert.True((await topic.BecomesAsync(partition => partition.Isr.Length == 3)).LeaderEpoch > all.LeaderEpoch);
        await topic.CheckAsync();
    }

    [Fact]
    public async Task Brokers_that_do_not_reach_each_other_while_a_third_sees_both_lead_on_without_each_other()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3, (BrokerConfigs.ReplicaLagTimeMaxMs, "2000"));
        ReplicatedTopic[] topics =
        [
            await ReplicatedTopic.CreateAsync(cluster, "two", [2, 3, 1], MinTwo),
            await ReplicatedTopic.CreateAsync(cluster, "three", [3, 2, 1], MinTwo),
        ];
        foreach (ReplicatedTopic topic in topics)
        {
            await topic.BecomesAsync(partition => partition.Isr.Length == 3 && partition.Leader == partition.Replicas[0]);
            await topic.AppendAsync("a");
        }

        cluster.Cut(2, 3);
        cluster.Cut(3, 2);
        foreach (ReplicatedTopic topic in topics)
        {
            await topic.AppendAsync("b");
            PartitionAssignment cut = await topic.BecomesAsync(partition => partition.Isr.Length == 2);
            Assert.Equal([1, cut.Replicas[0]], cut.Isr.Order());
            Assert.Equal(cut.Replicas[0], cut.Leader);
        }

        cluster.Mend();
        foreach (ReplicatedTopic topic in topics)
        {
            await topic.BecomesAsync(partition => partition.Isr.Length == 3);
            await topic.AppendAsync("c");
            await topic.CheckAsync();
        }
    }

    [Fact]
    public async Task A_leader_that_comes_upon_damage_in_what_a_follower_lacks_gives_way_and_is_mended()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(
            cluster, "t", [1, 2, 3], MinTwo, ("internal.segment.bytes", "1000"));
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        for (int i = 0; i < 30; i++)
            await topic.AppendAsync($"a{i}");

        // What is opened again is not in the cache, and nobody reads it before a follower needs it.
        await cluster.StopAsync(1);
        string directory = Path.Combine(cluster.LogDirectory(1), "t-0");
        string segment = Directory.GetFiles(directory, "*.log").Order().First();
        byte[] bytes = await File.ReadAllBytesAsync(segment);
        bytes[bytes.Length / 2] ^= 0xff;
        await File.WriteAllBytesAsync(segment, bytes);
        await cluster.RestartAsync(1);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);

        await cluster.StopAsync(2);
        PartitionAssignment damaged = await topic.BecomesAsync(partition => partition.Leader == 1);
        Directory.Delete(Path.Combine(cluster.LogDirectory(2), "t-0"), recursive: true);
        await cluster.RestartAsync(2);

        await topic.BecomesAsync(
            partition => partition.Isr.Length == 3 && partition.LeaderEpoch > damaged.LeaderEpoch);
        await BrokerCluster.EventuallyAsync(() => Task.FromResult(Directory.GetFiles(directory, "*.damaged")), files => files.Length > 0);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("b");
        await topic.CheckAsync();
    }

    [Fact]
    public async Task While_the_database_is_away_led_partitions_go_on_and_a_failover_waits_for_it()
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(cluster, "t", [1, 2, 3], MinTwo);
        PartitionAssignment all = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");
        cluster.States!.Fault = StoreFault.Away;
        for (int i = 0; i < 5; i++)
            await topic.AppendAsync($"b{i}");

        await cluster.KillAsync(all.Leader);
        await BrokerCluster.EventuallyAsync(() => topic.TryAppendAsync("c"), error => error == ErrorCode.NotLeaderOrFollower);
        cluster.States.Fault = StoreFault.None;
        await topic.AppendAsync("d");
        await topic.CheckAsync();
    }

    [Theory]
    [InlineData(StoreFault.LosesAnswers)]
    [InlineData(StoreFault.AppliesLate)]
    public async Task A_change_of_unknown_outcome_loses_nothing(StoreFault fault)
    {
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3);
        ReplicatedTopic topic = await ReplicatedTopic.CreateAsync(cluster, "t", [1, 2, 3], MinTwo);
        PartitionAssignment all = await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await topic.AppendAsync("a");
        cluster.States!.Fault = fault;
        int follower = all.Isr.First(broker => broker != all.Leader);
        await cluster.KillAsync(follower); // Whether it has left the isr, the leader cannot know.
        await topic.TryAppendAsync("b");
        cluster.States.Fault = StoreFault.None;
        cluster.States.ApplyLate();
        await topic.AppendAsync("c");
        await cluster.RestartAsync(follower);
        await topic.BecomesAsync(partition => partition.Isr.Length == 3);
        await cluster.KillAsync(all.Leader);
        await topic.AppendAsync("d");
        await topic.CheckAsync();
    }

    /// <remarks>
    /// dotnet/orleans#9685: an activation that refuses by deactivating itself was made again at the same wrong silo by cached addresses.
    /// </remarks>
    [Theory]
    [InlineData(BrokerConfigs.LogTypeFile)]
    [InlineData(BrokerConfigs.LogTypeStorage)]
    public async Task After_quick_restarts_under_clients_that_ask_every_partition_answers(string logType)
    {
        const int Partitions = 6;
        await using BrokerCluster cluster = await BrokerCluster.StartReplicatedAsync(3, (BrokerConfigs.LogType, logType));
        await cluster.Topic("t").CreateAsync(new TopicSpec(Partitions, 3, null, [], false));
        using var stop = new CancellationTokenSource();
        Task asking = AskAsync(cluster, Partitions, stop.Token);
        foreach (int broker in new[] { 1, 2, 3 })
        {
            for (int round = 0; round < 2; round++)
            {
                await (round == 0 ? cluster.StopAsync(broker) : cluster.KillAsync(broker));
                await cluster.RestartAsync(broker);
                for (int i = 0; i < Partitions; i++)
                {
                    IPartitionGrain partition = cluster.Partition("t", i);
                    await BrokerCluster.EventuallyAsync(partition.DescribeAsync, description => description.Error == ErrorCode.None);
                    await BrokerCluster.EventuallyAsync(
                        () => partition.AppendAsync(Batches.Append("x")), result => result.Results[0].Error == ErrorCode.None);
                }
            }
        }

        await stop.CancelAsync();
        await asking;
    }

    /// <summary>Asks from every silo, whose caches remember where partitions were.</summary>
    private static async Task AskAsync(BrokerCluster cluster, int partitions, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            foreach (IGrainFactory grains in new[] { 1, 2, 3 }.Select(cluster.SiloGrains).OfType<IGrainFactory>())
            {
                try
                {
                    await Task.WhenAll(Enumerable.Range(0, partitions).Select(
                        i => grains.GetGrain<IPartitionGrain>(PartitionKey.Format("t", i)).DescribeAsync()));
                }
                catch (Exception e) when (e is not NullReferenceException)
                {
                    // The silo stops, or it asks one that does.
                }
            }

            await Task.Delay(20, CancellationToken.None);
        }
    }
}
