using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>Leaderships that move to another broker.</summary>
public sealed class MoveTests
{
    [Fact]
    public void A_leadership_moves_with_all_records_and_without_waiting_for_a_lease()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 5);

        cluster[1].Feed(machine => machine.MoveLeadership(id, 3, cluster.NowMs));
        Assert.True(cluster[1].Views[id].HoldsAppends);
        cluster.Until(() => cluster.Leaders(id) is [3], withinMs: 100);

        Assert.Equal((3, 1, 3), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch, cluster.Store[id].Isr.Length));
        Assert.Equal(5, cluster[3].Views[id].EpochStart);
        cluster.Append(3, id);
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 6, withinMs: 500);
        Assert.Equal(ReplicaRole.Follower, cluster[1].Views[id].Role);
    }

    [Fact]
    public void A_target_that_does_not_catch_up_stays_a_follower_and_appends_go_on()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].HoldsAppends = true;
        cluster.Append(1, id, 5);
        cluster.Run(5);

        cluster[1].Feed(machine => machine.MoveLeadership(id, 3, cluster.NowMs));
        cluster.Run(499);
        Assert.True(cluster[1].Views[id].HoldsAppends);
        cluster.Run(2);

        Assert.False(cluster[1].Views[id].HoldsAppends);
        Assert.Equal((1, 0), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
    }

    [Fact]
    public void A_move_waits_for_records_that_are_not_durable_at_the_leader()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[1].Logs[id].HeldEnd = 0;
        cluster.Append(1, id);
        cluster[1].Feed(machine => machine.MoveLeadership(id, 2, cluster.NowMs));
        cluster.Run(100);
        Assert.Equal([1], cluster.Leaders(id));

        cluster[1].Logs[id].HeldEnd = null;
        cluster[1].Feed(machine => machine.Durable(id, cluster.NowMs));
        cluster.Until(() => cluster.Leaders(id) is [2], withinMs: 100);
        Assert.Equal(1, cluster[2].Views[id].EpochStart);
    }

    [Fact]
    public void Who_is_not_in_sync_or_not_alive_is_no_target()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        foreach (int target in new[] { 1, 3, 4, 9 })
            cluster[1].Feed(machine => machine.MoveLeadership(id, target, cluster.NowMs));

        Assert.False(cluster[1].Views[id].HoldsAppends);
        cluster.Run(1_000);
        Assert.Equal([1], cluster.Leaders(id));
    }

    [Fact]
    public void A_move_whose_answer_is_lost_ends_verdicts_until_a_later_swap_settles_it()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Run(1_000);
        cluster[1].ReachesDatabase = false;
        cluster[1].Feed(machine => machine.MoveLeadership(id, 2, cluster.NowMs));
        cluster.Run(700);

        ReplicaView view = cluster[1].Views[id];
        Assert.Equal((ReplicaRole.Leader, false, false), (view.Role, view.HoldsAppends, view.GivesVerdicts));
        Assert.Equal(0, cluster[1].Machine.Leases.VerdictsUntilMs(view));

        cluster[1].ReachesDatabase = true;
        cluster.Until(() => cluster[1].Views[id].GivesVerdicts);
        Assert.Equal((1, 0), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
    }

    [Fact]
    public void A_move_that_took_effect_unheard_is_found_by_the_next_swap()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[1].LosesSwapAnswer = state => state.Leader == 2;
        cluster[1].Feed(machine => machine.MoveLeadership(id, 2, cluster.NowMs));

        cluster.Until(() => cluster.Leaders(id) is [2], withinMs: 3_000);
        Assert.Equal(1, cluster.Store[id].LeaderEpoch);
    }

    [Fact]
    public void A_broker_that_is_drained_leads_nothing_in_the_end_and_takes_nothing()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids =
            [.. Enumerable.Range(0, 200).Select(i => cluster.Create([(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1], i))];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3));
        cluster.Run(600);
        cluster[1].Effects.Clear();

        cluster[1].Feed(machine => machine.Drain(cluster.NowMs));
        cluster.Run(0);
        Assert.Equal(64, cluster[1].Views.Values.Count(view => view.HoldsAppends));
        cluster.Until(() => cluster[1].Machine.LeaderCount == 0 && ids.All(id => cluster.Leaders(id).Length == 1), withinMs: 2_000);
        cluster.Kill(2);
        cluster.Until(() => ids.All(id => cluster.Leaders(id) is [3]), withinMs: 5_000);
    }

    [Fact]
    public void A_drained_broker_keeps_what_nobody_else_can_take_until_somebody_can()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(minInSync: 1);
        cluster.Kill(3);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 1);
        cluster[1].Feed(machine => machine.Drain(cluster.NowMs));
        cluster.Run(2_000);
        Assert.Equal([1], cluster.Leaders(id));

        cluster.Start(2);
        cluster.Until(() => cluster.Leaders(id) is [2], withinMs: 3_000);
    }
}
