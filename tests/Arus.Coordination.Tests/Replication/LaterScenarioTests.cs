using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>The scenarios of the replication design that naive versions lose, 9 to 16, as far as the machine decides them.</summary>
public sealed class LaterScenarioTests
{
    [Fact]
    public void Scenario_09_a_new_leader_knows_its_high_watermark_from_what_it_was_told_and_where_its_epoch_began()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 10);
        cluster[3].HoldsAppends = true;
        cluster.Append(1, id, 5);
        cluster.Run(20);
        Assert.Equal(15, cluster[2].Logs[id].DurableEndOffset);

        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));

        // The end is not the high watermark: 3 does not have the last five yet.
        Assert.Equal(10, cluster[2].Logs[id].HighWatermark);
        Assert.Equal(15, cluster[2].Views[id].EpochStart);
        cluster[3].HoldsAppends = false;
        cluster[3].Held.ForEach(append => append());
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 15);
    }

    [Fact]
    public void Scenario_10_a_member_that_is_stopped_delays_no_serving_but_nothing_is_committed_without_it()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].IsPaused = true;
        cluster.Kill(1);

        cluster.Until(() => cluster.Leads(2, id), withinMs: 2_500);
        cluster.Append(2, id);
        cluster.Run(1_000);
        Assert.Equal(0, cluster[2].Logs[id].HighWatermark);
        Assert.Equal(2, cluster.Store[id].Isr.Length);

        cluster.TellMembership(1, 3);
        cluster.Until(() => cluster.Store[id] is { Isr.Length: 1, Elr.Length: > 0 });
    }

    [Fact]
    public void Scenario_11_a_leader_that_was_stopped_gives_no_verdicts_after_its_successor_serves()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Run(1_000);
        TestBroker old = cluster[1];
        Assert.True(old.Machine.Leases.VerdictsUntilMs(old.Views[id]) > cluster.NowMs);

        old.IsPaused = true;
        cluster.TellMembership(cluster[2], dead: 1);
        cluster.TellMembership(cluster[3], dead: 1);
        cluster.Until(() => cluster.Leads(2, id));

        // It has not heard of anything yet.
        Assert.Equal(ReplicaRole.Leader, old.Views[id].Role);
        Assert.True(old.Machine.Leases.VerdictsUntilMs(old.Views[id]) <= cluster.NowMs);
        cluster.Resume(1);
        cluster.Run(2_000);
        Assert.Equal(ReplicaRole.Follower, old.Views[id].Role);
    }

    [Fact]
    public void Scenario_12_a_leader_that_alone_has_lost_the_database_resigns_when_it_needs_a_swap()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[1].ReachesDatabase = false;
        cluster.Append(1, id);
        cluster.Run(20_000);
        Assert.Equal([1], cluster.Leaders(id));
        Assert.Equal(1, cluster[1].Logs[id].HighWatermark);

        cluster.Kill(3);
        cluster.Until(() => cluster.Leads(2, id), withinMs: 4_000);

        cluster.Append(2, id);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 2, withinMs: 1_000);
        Assert.Equal([1, 2], cluster.Store[id].Isr.Select(member => member.BrokerId).Order());
    }

    [Fact]
    public void Scenario_12_when_nobody_reaches_the_database_all_goes_on_as_soon_as_it_is_back()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        foreach (TestBroker broker in cluster.Brokers)
            broker.ReachesDatabase = false;

        cluster.Kill(3);
        cluster.Run(30_000);
        foreach (TestBroker broker in cluster.Brokers)
            broker.ReachesDatabase = true;

        cluster.Until(() => cluster.Leaders(id) is [int leader] && cluster.Store[id].Leader == leader, withinMs: 3_000);
        int leads = cluster.Leaders(id)[0];
        cluster.Append(leads, id);
        cluster.Until(() => cluster[leads].Logs[id].HighWatermark == 1);
    }

    [Fact]
    public void Scenario_13_a_death_among_thousands_of_partitions_costs_few_calls_and_opens_few_logs_at_once()
    {
        const int Count = 900;
        var cluster = new TestCluster(3);
        PartitionId[] ids =
            [.. Enumerable.Range(0, Count).Select(i => cluster.Create([(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1], i))];
        foreach (TestBroker broker in cluster.Brokers)
        {
            broker.Start(2, false);
            Assert.Equal(64, broker.Effects.OfType<ReplicationEffect.OpenLog>().Count());
        }

        cluster.TellMembership();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3));
        cluster.Run(2_000);
        foreach (TestBroker broker in cluster.Brokers)
            broker.Effects.Clear();

        cluster.Kill(1);
        cluster.Until(() => ids.All(id => cluster.Store[id].Leader != 1 && cluster.Store[id].Isr.Length == 2));
        cluster.Run(1_000);

        ReplicationEffect[] effects = [.. cluster[2].Effects];
        Assert.Equal(Count / 3, effects.OfType<ReplicationEffect.Swap>().Count(swap => swap.Proposed.LeaderEpoch == 1));
        Assert.InRange(effects.OfType<ReplicationEffect.SendSessions>().Count(), 1, 20);
        Assert.InRange(effects.OfType<ReplicationEffect.SendPush>().Count(), 1, 40);
    }

    [Fact]
    public void Scenario_14_an_epoch_that_the_database_has_forgotten_is_not_given_again()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        PartitionState old = cluster.Store[id];
        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));
        Assert.Equal(1, cluster.Store[id].LeaderEpoch);
        cluster.Kill(2);
        cluster.Kill(3);

        // The standby that takes over has not got the last swaps; all logs are fenced at epoch 1.
        cluster.Store.Put(old with { Leader = 1 });
        cluster[1].Logs[id].Prepare(1, -1, -1, false);
        cluster.StartAll();
        cluster.Run(20_000);

        Assert.Equal(0, cluster.Store[id].LeaderEpoch);
        Assert.Empty(cluster.Leaders(id));
        Assert.Contains(cluster[1].Reports, report => report.Contains("epoch 1", StringComparison.Ordinal));
    }

    [Fact]
    public void Scenario_15_who_left_the_isr_below_the_minimum_may_lead()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 10);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 1);
        Assert.Equal([2], cluster.Store[id].Elr.Select(member => member.BrokerId));
        cluster.Kill(1);

        cluster.Start(2);
        cluster.Start(3);
        cluster.Until(() => cluster.Leads(2, id));

        PartitionState state = cluster.Store[id];
        Assert.False(state.IsUnclean);
        Assert.Equal(10, cluster[2].Logs[id].DurableEndOffset);
        cluster.Until(() => cluster.Store[id] is { Isr.Length: 2, Elr.Length: 0 });
    }

    [Fact]
    public void Scenario_16_a_slow_log_holds_up_no_other_partition_of_its_call()
    {
        var cluster = new TestCluster(2);
        PartitionId slow = cluster.Create([1, 2], 0);
        PartitionId fast = cluster.Create([1, 2], 1);
        cluster.StartAll();
        cluster.Until(() => cluster.Store[slow].Isr.Length == 2 && cluster.Store[fast].Isr.Length == 2);
        cluster.Run(600);
        cluster[2].SlowPartition = slow;

        cluster.Append(1, slow, 1);
        cluster.Append(1, fast, 1);
        cluster.Until(() => cluster[1].Logs[fast].HighWatermark == 1, withinMs: 200);
        cluster.Append(1, fast, 1);
        cluster.Until(() => cluster[1].Logs[fast].HighWatermark == 2, withinMs: 200);
        Assert.Equal(0, cluster[1].Logs[slow].HighWatermark);

        cluster[2].SlowPartition = null;
        cluster[2].Held.ForEach(append => append());
        cluster.Until(() => cluster[1].Logs[slow].HighWatermark == 1, withinMs: 1_000);
    }

    [Fact]
    public void Scenario_16_an_idle_follower_hears_of_the_last_high_watermark()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id);
        cluster.Run(30);
        Assert.Equal(1, cluster[3].Logs[id].HighWatermark);
    }
}
