using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>The scenarios of the replication design that naive versions lose, 1 to 8, as far as the machine decides them.</summary>
public sealed class ScenarioTests
{
    [Fact]
    public void Scenario_01_a_death_changes_nothing_for_partitions_that_others_lead()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids = [.. Enumerable.Range(0, 9).Select(i => cluster.Create([(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1], i))];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3));
        PartitionState[] others = [.. ids.Select(id => cluster.Store[id]).Where(state => state.Leader != 3)];
        Assert.Equal(6, others.Length);

        cluster.Kill(3);
        cluster.Until(() => ids.All(id => cluster.Leaders(id).Length == 1 && cluster.Store[id].Isr.Length == 2));
        cluster.Start(3);
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3));

        Assert.All(others, former =>
            Assert.Equal((former.Leader, former.LeaderEpoch), (cluster.Store[former.Id].Leader, cluster.Store[former.Id].LeaderEpoch)));
    }

    [Fact]
    public void Scenario_02_idle_partitions_of_a_dead_broker_get_leaders_though_nobody_calls()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids = [.. Enumerable.Range(0, 300).Select(i => cluster.Create([1, (i % 2) + 2, ((i + 1) % 2) + 2], i))];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3 && cluster.Leads(1, id)));
        cluster.Run(100);

        cluster.Kill(1);

        cluster.Until(() => ids.All(id => cluster.Leaders(id) is [2 or 3]), withinMs: 4_000);
        Assert.Equal(150, ids.Count(id => cluster.Leads(2, id)));
    }

    [Fact]
    public void Scenario_03_a_push_of_the_old_leader_is_refused_once_its_successor_stands()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();

        // Broker 2 believes that 1 is dead and is about to lead; 1 lives on and pushes.
        cluster.TellMembership(cluster[2], dead: 1);
        cluster.Run(1);
        cluster.Append(1, id, 5);
        cluster.Until(() => cluster.Leads(2, id));
        cluster.Run(3_000);

        Assert.Equal(0, cluster[2].Views[id].EpochStart);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
        Assert.Equal([2], cluster.Leaders(id));
        cluster.TellMembership();
        cluster.Until(() => cluster[1].Logs[id].DurableEndOffset == 0);
    }

    [Fact]
    public void Scenario_04_a_leader_that_is_cut_off_does_not_shrink_to_itself()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(minInSync: 1);

        cluster.Isolate(1);
        cluster.Append(1, id);
        cluster.Run(120_000);

        Assert.Equal(3, cluster.Store[id].Isr.Length);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
    }

    [Fact]
    public void Scenario_05_ends_match_but_histories_do_not()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 90);
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 90);

        // Broker 3 leads epoch 1 alone for a while, and appends what nobody gets.
        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));
        cluster.Isolate(2);
        cluster.Append(2, id, 10);
        cluster.Run(50);
        cluster.Kill(2);
        cluster.Heal();
        cluster.Until(() => cluster.Leads(3, id));
        cluster.Start(1);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(3, id, 10);
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 100);
        Assert.Equal(100, cluster[2].Logs[id].LogEndOffset);

        cluster.Start(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);

        for (long offset = 0; offset < 100; offset++)
            Assert.Equal(cluster[3].Logs[id][offset], cluster[2].Logs[id][offset]);
    }

    [Fact]
    public void Scenario_06_a_growth_whose_answer_is_lost_counts_until_a_later_swap_succeeds()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2 && cluster[1].Views[id].InSync == 2);

        // The swap that adds 3 takes effect, but 1 hears nothing of it, and 3 stops taking records right afterwards.
        cluster[1].LosesSwapAnswer = state => state.Isr.Length == 3;
        cluster.Start(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        cluster[1].ReachesDatabase = false;
        cluster.Cut(1, 3);
        cluster.Append(1, id, 5);
        cluster.Run(2_000);

        Assert.Equal(5, cluster[2].Logs[id].DurableEndOffset);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);

        cluster[1].LosesSwapAnswer = null;
        cluster[1].ReachesDatabase = true;
        cluster.Heal();
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 5);
        Assert.Equal(5, cluster[3].Logs[id].DurableEndOffset);
    }

    [Fact]
    public void Scenario_06_the_old_version_in_a_read_settles_nothing()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2 && cluster[1].Views[id].InSync == 2);
        PartitionState before = cluster.Store[id];
        cluster[1].ReachesDatabase = false;
        cluster.Start(3);
        cluster.Until(() => cluster[1].Effects.OfType<ReplicationEffect.Swap>().Any(swap => swap.Proposed.Isr.Length == 3));
        cluster.Run(50);
        cluster.Cut(1, 3);

        cluster[1].Feed(machine => machine.Learn([before], cluster.NowMs));
        cluster.Append(1, id, 5);
        cluster.Run(500);

        Assert.Equal(5, cluster[2].Logs[id].DurableEndOffset);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
        Assert.Equal(2, cluster[1].Views[id].InSync);
    }

    [Fact]
    public void Scenario_07_who_lost_its_tail_in_a_power_failure_is_not_in_sync()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 100);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 100);

        // Broker 2 is back, with less, before anybody noticed; then the leader dies.
        cluster.Kill(2, declaredDead: false);
        cluster[2].Logs[id].LoseTail(10);
        cluster.Start(2);
        cluster.Kill(1);
        cluster.Until(() => cluster.Leaders(id).Length == 1);
        Assert.Equal([3], cluster.Leaders(id));

        cluster.Until(() => cluster[2].Logs[id].DurableEndOffset == 100 && cluster.Store[id].Isr.Length == 2);
        Assert.Contains(new ReplicaId(2, cluster[2].Logs[id].LogId), cluster.Store[id].Isr);
    }

    [Fact]
    public void Scenario_08_of_two_that_take_over_at_once_one_leads()
    {
        var cluster = new TestCluster(3);
        PartitionId id = cluster.Create([1, 2, 3]);
        foreach (TestBroker broker in cluster.Brokers)
            broker.Start(2, false);

        // Each sees only itself alive, so that nobody waits for anybody.
        cluster.TellMembership(cluster[1], 2, 3);
        cluster.TellMembership(cluster[2], 1, 3);
        cluster.TellMembership(cluster[3], 1, 2);
        cluster.Run(2);
        cluster.TellMembership();
        Assert.All(cluster.Brokers, broker => Assert.Single(broker.Effects.OfType<ReplicationEffect.Swap>()));

        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        Assert.Single(cluster.Leaders(id));
        Assert.Equal(0, cluster.Store[id].LeaderEpoch);
        Assert.Single(cluster.Store.History.Select(state => state.Leader).Where(leader => leader > 0).Distinct());
    }

    [Fact]
    public void Scenario_08_a_deleted_topic_and_its_namesake_are_two()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 5);
        var next = new PartitionId(new Guid(9, 9, 9, new byte[8]), 0);
        PartitionState deleted = cluster.Store.Put(cluster.Store[id] with { IsDeleted = true });
        PartitionState created = cluster.Store.Put(new PartitionState("t", next, 0, -1, -1, [1, 2, 3], [], []));
        foreach (TestBroker broker in cluster.Brokers)
            broker.Feed(machine => machine.Learn([deleted, created], cluster.NowMs));

        cluster.Until(() => cluster.Store[next].Isr.Length == 3);

        Assert.Empty(cluster.Leaders(id));
        Assert.All(cluster.Brokers, broker => Assert.DoesNotContain(id, broker.Logs.Keys));
        Assert.All(cluster.Brokers, broker => Assert.Equal(0, broker.Logs[next].LogEndOffset));
    }
}
