using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>A broker stood for election and does not know what became of it, while the leader lives: something settles that.</summary>
public sealed class UnsettledSwapTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_candidate_that_knows_nothing_of_its_swap_follows_the_living_leader_or_leads(bool isApplied)
    {
        (TestCluster cluster, PartitionId id) = Unsettled(isApplied);
        cluster.Run(1_000); // As a poll might come, and change nothing.

        // The leader hears by the refusal that somebody stands, writes its state again, and tells of the new version.
        long epoch = cluster.Store[id].LeaderEpoch;
        int leader = isApplied ? 3 : 1;
        cluster.Until(() => cluster.Leaders(id) is [int only] && only == leader, withinMs: 3_000);
        cluster.Append(leader, id);
        cluster.Until(() => cluster[leader].Logs[id].HighWatermark == 2, withinMs: 3_000);
        Assert.Equal(epoch, cluster.Store[id].LeaderEpoch);
        Assert.Equal(3, cluster.Store[id].Isr.Length);
        Assert.True(cluster[leader].Machine.Leases.VerdictsUntilMs(cluster[leader].Views[id]) > cluster.NowMs);
    }

    [Fact]
    public void A_candidate_that_reaches_the_database_settles_it_by_itself()
    {
        (TestCluster cluster, PartitionId id) = Unsettled(isApplied: false);
        cluster.Cut(3, 1);
        long version = cluster.Store[id].Version;
        cluster[3].ReachesDatabase = true;
        cluster.Until(() => cluster.Store[id].Version > version, withinMs: 2_000);
        Assert.Equal((1, 0), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
        cluster.Heal();
        cluster.Append(1, id);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 2, withinMs: 3_000);
    }

    [Fact]
    public void A_candidate_that_may_not_stand_any_more_settles_it_all_the_same()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].ReachesDatabase = false;
        cluster.TellMembership(cluster[3], dead: [1, 2]);
        cluster.Until(() => cluster[3].Effects.OfType<ReplicationEffect.Swap>().Any(), withinMs: 5_000);
        cluster[3].Feed(machine => machine.Drain(cluster.NowMs));
        cluster.Run(2_000);
        long version = cluster.Store[id].Version;
        cluster[3].ReachesDatabase = true;
        cluster.Until(() => cluster.Store[id].Version > version, withinMs: 2_000);
        Assert.Equal((1, 0), (cluster.Store[id].Leader, cluster.Store[id].LeaderEpoch));
    }

    [Fact]
    public void A_follower_that_has_followed_a_later_epoch_than_the_database_knows_costs_few_swaps()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[3].Logs[id].Prepare(7, -1, -1, false);
        cluster[3].FailLog(id);
        cluster.Append(1, id);
        int changes = cluster.Store.History.Count;
        cluster.Run(60_000);
        Assert.InRange(cluster.Store.History.Count - changes, 1, 10);
        Assert.Equal([1], cluster.Leaders(id));
    }

    [Fact]
    public void Who_was_elected_after_the_membership_was_read_is_not_taken_for_dead()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Run(5_000);

        // Broker 3 does not hear that 2 is back, until it has become the leader.
        cluster[2].Start(2, false);
        cluster.TellMembership(cluster[1]);
        cluster.TellMembership(cluster[2]);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        cluster.Run(100);
        cluster[1].Feed(machine => machine.MoveLeadership(id, 2, cluster.NowMs));
        cluster.Until(() => cluster.Leads(2, id));
        cluster.Run(10_000);
        Assert.Equal(2, cluster.Store[id].Leader);

        // By a reading that began since it may be judged.
        cluster.TellMembership(cluster[3], dead: [2]);
        cluster.Until(() => cluster.Store[id].Leader == 3 || cluster.Store[id].LeaderEpoch > 1, withinMs: 5_000);
    }

    /// <summary>Broker 3 believed for a while that the others are dead, and does not reach the database.</summary>
    private static (TestCluster Cluster, PartitionId Id) Unsettled(bool isApplied)
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id);
        cluster.Run(1_000);
        if (isApplied)
            cluster[3].LosesSwapAnswer = _ => true;
        else
            cluster[3].ReachesDatabase = false;

        cluster.TellMembership(cluster[3], dead: [1, 2]);
        cluster.Until(() => cluster[3].Effects.OfType<ReplicationEffect.Swap>().Any(), withinMs: 5_000);
        cluster.Run(20);
        cluster[3].LosesSwapAnswer = null;
        cluster.TellMembership();
        return (cluster, id);
    }
}
