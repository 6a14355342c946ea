using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>Who stands for election, when, and who never does.</summary>
public sealed class ElectionTests
{
    [Fact]
    public void Candidates_stand_in_the_order_of_the_replicas_each_a_while_after_the_one_before()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4, replicas: 4);
        cluster.Run(2_000);
        cluster[2].ReachesDatabase = false;
        cluster[3].ReachesDatabase = false;
        foreach (TestBroker broker in cluster.Brokers)
            broker.Effects.Clear();

        long killedMs = cluster.NowMs;
        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(4, id));

        long leaseMs = cluster.Options.LeaseMs;
        Assert.InRange(cluster.NowMs - killedMs, leaseMs, leaseMs + 1_200);
        Assert.All([2, 3, 4], broker => Assert.NotEmpty(cluster[broker].Effects.OfType<ReplicationEffect.Swap>()));
        Assert.True(cluster[2].FirstSwapMs <= cluster[3].FirstSwapMs - 300 && cluster[3].FirstSwapMs <= cluster[4].FirstSwapMs - 300,
            $"{cluster[2].FirstSwapMs} {cluster[3].FirstSwapMs} {cluster[4].FirstSwapMs}");
    }

    [Fact]
    public void Nobody_takes_over_while_the_dead_leader_may_hold_a_lease()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Run(2_000);
        cluster.Append(1, id);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 1);
        long until = cluster[1].Machine.Leases.UntilMs(2);

        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));

        Assert.True(cluster.NowMs > until, $"{cluster.NowMs} {until}");
        Assert.True(cluster[2].FirstSwapMs >= until);
    }

    [Fact]
    public void No_lease_is_granted_to_a_leader_while_a_swap_against_it_is_on_its_way()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Run(2_000);
        cluster.Cut(1, 2);
        cluster.TellMembership(cluster[2], dead: 1);
        cluster[2].ReachesDatabase = false;
        cluster.Until(() => cluster[2].FirstSwapMs < long.MaxValue);

        // The leader is a member again and calls, while nobody knows what became of the swap.
        cluster.Heal();
        cluster.TellMembership(cluster[2]);
        cluster.Run(3_000);
        Assert.True(cluster[1].Machine.Leases.UntilMs(2) <= cluster.NowMs);

        cluster[2].ReachesDatabase = true;
        cluster.Until(() => cluster[1].Machine.Leases.UntilMs(2) > cluster.NowMs, withinMs: 5_000);
        Assert.Equal((1, 0), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
    }

    [Fact]
    public void A_restarted_broker_waits_for_leases_that_its_former_life_may_have_granted()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 2, replicas: 2);
        cluster.Run(2_000);
        cluster.Kill(2, declaredDead: false);
        long startMs = cluster.NowMs;
        cluster[1].Stop();
        cluster.Start(2);

        cluster.Until(() => cluster.Leads(2, id));

        Assert.True(cluster[2].FirstSwapMs >= startMs + cluster.Options.LeaseMs);
    }

    [Fact]
    public void A_leader_that_was_restarted_leads_again_in_a_new_epoch_only()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 5);
        cluster.Run(100);

        cluster.Kill(1, declaredDead: false);
        cluster.Start(1);
        cluster[1].Feed(machine => machine.Learn([cluster.Store[id]], cluster.NowMs));
        cluster.Until(() => cluster.Leaders(id) is [1]);

        Assert.Equal((1, 1), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
    }

    [Fact]
    public void A_state_that_only_changed_its_replicas_does_not_revive_a_former_lifes_epoch()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Kill(1, declaredDead: false);
        cluster[1].ReachesDatabase = false;
        cluster.Start(1);
        PartitionState changed = cluster.Store.Put(cluster.Store[id] with { Replicas = [1, 2, 3, 4] });

        cluster[1].Feed(machine => machine.Learn([changed], cluster.NowMs));
        cluster.Run(900);

        Assert.Empty(cluster.Leaders(id));
    }

    [Fact]
    public void A_leader_whose_log_lost_its_tail_gives_way_at_once()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 5);
        cluster.Run(100);
        cluster.Kill(1, declaredDead: false);
        cluster[1].Logs[id].LoseTail(2);
        cluster.Start(1);

        cluster.Until(() => cluster.Leads(2, id), withinMs: 1_000);

        Assert.Contains(cluster.Store.History, state => state is { Leader: -1, LeaderEpoch: 0, Isr.Length: 3 });
        cluster.Until(() => cluster.Store[id].Isr.Length == 3 && cluster[1].Logs[id].LogEndOffset == 5);
    }

    [Fact]
    public void A_leader_whose_log_takes_long_to_open_gives_way_to_others()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(1, declaredDead: false);
        cluster[1].NeverOpens = true;
        cluster.Start(1);

        cluster.Until(() => cluster.Leads(2, id), withinMs: 1_500);
    }

    [Fact]
    public void A_leader_whose_log_takes_long_to_open_is_waited_for_if_nobody_else_could_lead()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 1, minInSync: 1, replicas: 1);
        cluster.Kill(1, declaredDead: false);
        cluster[1].NeverOpens = true;
        cluster.Start(1);
        cluster.Run(10_000);

        Assert.Equal(1, cluster.Store[id].Leader);
        Assert.Equal(0, cluster.Store[id].LeaderEpoch);
    }

    [Fact]
    public void A_leader_whose_log_fails_gives_way_and_follows_when_it_is_whole_again()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[1].FailsToOpen = true;
        cluster[1].FailLog(id);

        cluster.Until(() => cluster.Leads(2, id), withinMs: 1_000);
        Assert.Equal(ReplicaRole.None, cluster[1].Views[id].Role);

        cluster[1].FailsToOpen = false;
        cluster.Append(2, id, 3);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 3, withinMs: 60_000);
        Assert.Equal(ReplicaRole.Follower, cluster[1].Views[id].Role);
    }

    [Fact]
    public void When_the_elr_elects_the_isr_is_the_new_leader_and_the_former_member_stays_electable()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Elr.Length == 1);
        cluster.Kill(1);
        cluster.Start(2);

        cluster.Until(() => cluster.Leads(2, id));

        Assert.Equal([2], cluster.Store[id].Isr.Select(member => member.BrokerId));
        Assert.Equal([1], cluster.Store[id].Elr.Select(member => member.BrokerId));
        cluster.Append(2, id);
        cluster.Run(1_000);
        Assert.Equal(0, cluster[2].Logs[id].HighWatermark);
        cluster.Start(3);
        cluster.Until(() => cluster.Store[id] is { Isr.Length: 2, Elr.Length: 0 });
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 1);
    }

    [Fact]
    public void A_new_partition_whose_preferred_replica_is_down_gets_the_next()
    {
        var cluster = new TestCluster(3);
        cluster[2].Start(2, false);
        cluster[3].Start(2, false);
        cluster.TellMembership();
        PartitionId id = cluster.Create([1, 3, 2]);

        cluster.Until(() => cluster.Leads(3, id), withinMs: 500);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
    }

    [Fact]
    public void A_broker_that_is_no_replica_has_nothing_to_do_with_a_partition()
    {
        var cluster = new TestCluster(4);
        PartitionId id = cluster.Create([1, 2, 3]);
        cluster.StartAll();
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));

        Assert.DoesNotContain(cluster[4].Effects, effect => effect is not ReplicationEffect.AnswerPush);
        Assert.Empty(cluster[4].Logs);
    }

    [Fact]
    public void Who_is_not_a_member_of_the_cluster_does_not_stand()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].Stop();
        cluster.TellMembership(cluster[2], 1, 2, 3);
        cluster[1].Stop();
        cluster.TellMembership(cluster[2], 1, 2, 3);
        cluster.Run(10_000);

        Assert.Empty(cluster.Leaders(id));
        cluster.TellMembership();
        cluster.Until(() => cluster.Leads(2, id));
    }

    [Fact]
    public void All_are_restarted_at_once_and_every_partition_is_led_again()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids =
            [.. Enumerable.Range(0, 12).Select(i => cluster.Create([(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1], i))];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3));
        foreach (TestBroker broker in cluster.Brokers)
            broker.Stop();

        cluster.StartAll();

        cluster.Until(() => ids.All(id => cluster.Leaders(id).Length == 1), withinMs: 3_000);
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3), withinMs: 3_000);
        Assert.All(ids, id => Assert.Equal(1, cluster.Store[id].LeaderEpoch));
    }
}
