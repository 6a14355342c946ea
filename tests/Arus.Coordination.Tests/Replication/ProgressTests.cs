using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>A leader and its followers: what is committed, who comes and who goes.</summary>
public sealed class ProgressTests
{
    [Fact]
    public void Nothing_is_committed_while_fewer_than_the_minimum_are_in_sync()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 1);
        cluster.Append(1, id, 4);
        cluster.Run(5_000);

        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
        Assert.Equal(1, cluster[1].Views[id].InSync);
    }

    [Fact]
    public void The_minimum_is_no_more_than_the_replicas()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 1, minInSync: 2, replicas: 1);
        cluster.Append(1, id, 4);
        cluster.Run(50);
        Assert.Equal(4, cluster[1].Logs[id].HighWatermark);
    }

    [Fact]
    public void With_a_lowered_minimum_the_elr_is_emptied_before_anything_is_committed()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id] is { Isr.Length: 1, Elr.Length: > 0 });
        cluster.Append(1, id, 4);
        cluster[1].ReachesDatabase = false;
        cluster[1].Feed(machine => machine.Configure(id, 1, false, cluster.NowMs));
        cluster.Run(2_000);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);

        cluster[1].ReachesDatabase = true;
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 4);
        Assert.Empty(cluster.Store[id].Elr);
    }

    [Fact]
    public void Who_answers_heartbeats_and_lags_leaves_and_comes_back_when_it_has_caught_up()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].HoldsAppends = true;
        cluster.Append(1, id, 5);
        cluster.Run(29_000);
        Assert.Equal(3, cluster.Store[id].Isr.Length);

        cluster.Until(() => cluster.Store[id].Isr.Length == 2, withinMs: 5_000);
        Assert.Equal(5, cluster[1].Logs[id].HighWatermark);
        Assert.Empty(cluster.Store[id].Elr);
        cluster[3].HoldsAppends = false;
        cluster[3].Held.ForEach(append => append());
        cluster.Until(() => cluster.Store[id].Isr.Length == 3, withinMs: 20_000);
    }

    [Fact]
    public void A_follower_whose_log_does_not_open_leaves_though_nothing_is_appended()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].FailsToOpen = true;
        cluster[3].FailLog(id);
        cluster.Append(1, id);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2, withinMs: 35_000);
    }

    [Fact]
    public void A_follower_joins_only_when_it_has_the_high_watermark_and_the_epochs_start()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster[3].HoldsAppends = true;
        cluster.RecordsInPush = 4;
        cluster.Start(3);
        cluster.Run(2_000);
        Assert.Equal(2, cluster.Store[id].Isr.Length);

        for (int i = 0; i < 3; i++)
        {
            cluster.Until(() => cluster[3].Held.Count > i);
            Assert.Equal(2, cluster.Store[id].Isr.Length);
            cluster[3].Held[i]();
        }

        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
    }

    [Fact]
    public void A_replica_with_another_log_than_the_isr_names_is_taken_out_and_joins_anew()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster.Kill(3, declaredDead: false);
        cluster[3].Logs.Clear();
        cluster.Start(3);

        cluster.Until(() => cluster.Store[id].Isr.Contains(new ReplicaId(3, cluster[3].Logs.GetValueOrDefault(id)?.LogId ?? default)));
        Assert.Contains(cluster.Store.History, state => state.Isr.Length == 2 && state.LeaderEpoch == 0 && state.Elr.IsEmpty);
        Assert.Equal(10, cluster[3].Logs[id].LogEndOffset);
    }

    [Fact]
    public void Sessions_that_fail_are_asked_for_again()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(2, declaredDead: false);
        cluster.Append(1, id, 3);
        cluster.Run(10_000);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
        cluster.Start(2);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 3, withinMs: 3_000);
    }

    [Fact]
    public void A_follower_that_lacks_what_the_leader_has_deleted_begins_afresh()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster[1].Logs[id].DeleteBefore(15);
        cluster[1].Feed(machine => machine.Durable(id, cluster.NowMs));
        cluster.Run(50);
        Assert.Equal(15, cluster[2].Logs[id].LogStartOffset);

        cluster.Start(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        Assert.Equal((15, 20), (cluster[3].Logs[id].LogStartOffset, cluster[3].Logs[id].LogEndOffset));
    }

    [Fact]
    public void A_replica_that_is_added_catches_up_and_one_that_is_removed_goes()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Append(1, id, 10);
        cluster.Run(100);
        Change(cluster, id, state => state with { Replicas = [1, 2, 4] });

        cluster.Until(() => cluster.Store[id].Isr.Select(member => member.BrokerId).Order().SequenceEqual([1, 2, 4]));
        cluster.Run(100);
        Assert.Contains(cluster[3].Effects, effect => effect is ReplicationEffect.CloseLog { Delete: false });
        Assert.Equal(10, cluster[4].Logs[id].LogEndOffset);
    }

    [Fact]
    public void A_leader_that_is_no_replica_any_more_hands_over()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        Change(cluster, id, state => state with { Replicas = [4, 2, 3] });

        cluster.Until(() => cluster.Store[id].Isr is { Length: 3 } isr && isr.All(member => member.BrokerId != 1), withinMs: 5_000);
        Assert.DoesNotContain(1, cluster.Leaders(id));
        Assert.Equal(1, cluster.Store[id].LeaderEpoch);
    }

    [Fact]
    public void A_deleted_partition_is_forgotten_in_the_end_and_not_brought_back_by_what_is_told_late()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        PartitionState former = cluster.Store[id];
        Change(cluster, id, state => state with { IsDeleted = true });
        cluster.Run(30_000);
        cluster[2].Feed(machine => machine.Learn([former], cluster.NowMs));
        cluster.Run(100);

        Assert.Empty(cluster[2].Logs);
        Assert.Equal(ReplicaRole.None, cluster[2].Views[id].Role);
        Assert.Empty(cluster.Leaders(id));
    }

    [Fact]
    public void A_follower_whose_log_was_opened_again_hears_the_high_watermark_though_nothing_is_appended()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 3);
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 3);
        cluster[3].FailLog(id);
        cluster[3].Logs[id].Restart();
        Assert.Equal(0, cluster[3].Logs[id].HighWatermark);
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 3, withinMs: 35_000);
    }

    [Theory]
    [InlineData(60_000)]
    [InlineData(10_000_000)]
    public void A_log_that_cannot_be_deleted_is_tried_again_for_some_minutes(int failsForMs)
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[2].FailsToDelete = true;
        long endsMs = cluster.NowMs + failsForMs;
        Change(cluster, id, state => state with { IsDeleted = true });
        for (int minute = 0; minute < 20; minute++)
        {
            cluster.Run(60_000);
            cluster[2].FailsToDelete = cluster.NowMs < endsMs;
        }

        int tries = cluster[2].Effects.OfType<ReplicationEffect.CloseLog>().Count(close => close.Delete);
        Assert.InRange(tries, 3, 12);
        Assert.Equal(failsForMs > 60_000, cluster[2].Logs.ContainsKey(id));
        Assert.Empty(cluster[1].Logs);
    }

    private static void Change(TestCluster cluster, PartitionId id, Func<PartitionState, PartitionState> change)
    {
        PartitionState changed = cluster.Store.Put(change(cluster.Store[id]));
        foreach (TestBroker broker in cluster.Brokers)
            broker.Feed(machine => machine.Learn([changed], cluster.NowMs));
    }
}
