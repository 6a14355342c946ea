using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>Two brokers do not reach each other, while the others and the database see both, so that nobody is declared dead.</summary>
public sealed class CutLinkTests
{
    private const int LagMs = 30_000;

    /// <summary>A few heartbeats, and the swap.</summary>
    private const int MarginMs = 2_000;

    [Fact]
    public void Leaders_on_both_sides_of_a_cut_link_go_on_after_the_lag_time_and_all_is_whole_when_it_heals()
    {
        (TestCluster cluster, PartitionId[] ids) = LedByEach();
        cluster.Part(2, 3);
        foreach (PartitionId id in ids)
            cluster.Append(Leader(cluster, id), id, 3);

        cluster.Run(LagMs - MarginMs);
        Assert.All(ids, id => Assert.Equal(3, cluster.Store[id].Isr.Length));

        cluster.Until(() => ids.All(id => cluster[Leader(cluster, id)].Logs[id].HighWatermark == 3), withinMs: 2 * MarginMs);
        Assert.Equal([[1, 2, 3], [1, 2], [1, 3]], ids.Select(id => Members(cluster, id)));
        Assert.All(ids, id => Assert.Empty(cluster.Store[id].Elr));

        // Later records do not wait for anything.
        foreach (PartitionId id in ids)
            cluster.Append(Leader(cluster, id), id);

        cluster.Until(() => ids.All(id => cluster[Leader(cluster, id)].Logs[id].HighWatermark == 4), withinMs: 100);
        cluster.Heal();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3), withinMs: 5_000);
        cluster.Run(1_000);
        Assert.All(ids, id => Assert.All(cluster.Brokers, broker => Assert.Equal(cluster[1].Logs[id].Records, broker.Logs[id].Records)));
    }

    [Fact]
    public void No_verdict_is_given_without_the_lease_of_a_silent_member_until_it_has_left()
    {
        (TestCluster cluster, PartitionId[] ids) = LedByEach();
        PartitionId id = ids[1];
        cluster.Part(2, 3);
        cluster.Run(cluster.Options.LeaseMs);
        Assert.True(VerdictsUntilMs(cluster, 2, id) <= cluster.NowMs);

        // Nothing is appended: the silence alone is enough, once.
        int changes = cluster.Store.History.Count;
        cluster.Until(() => cluster.Store[id].Isr.Length == 2, withinMs: LagMs + MarginMs);
        cluster.Run(10);
        Assert.True(VerdictsUntilMs(cluster, 2, id) > cluster.NowMs);
        cluster.Run(4 * LagMs);
        Assert.Equal(2, cluster.Store.History.Count - changes);
    }

    [Fact]
    public void Who_left_for_its_silence_is_not_elected_though_it_has_not_heard_of_it()
    {
        (TestCluster cluster, PartitionId[] ids) = LedByEach();
        PartitionId id = ids[1];
        cluster.Part(2, 3);
        cluster.Append(2, id);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 1, withinMs: LagMs + MarginMs);
        Assert.Equal(3, cluster[3].Views[id].State.Isr.Length);

        cluster.Kill(1, declaredDead: false);
        cluster.Kill(2);
        cluster.Run(10_000);
        Assert.Equal(2, cluster.Store[id].Leader);
        Assert.Empty(cluster.Leaders(id));

        cluster.Heal();
        cluster.Start(1);
        cluster.Until(() => cluster.Leads(1, id));
        cluster.Until(() => cluster[3].Logs[id].HighWatermark == 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_leader_that_hears_from_nobody_makes_itself_not_the_only_member(int minInSync)
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(minInSync: minInSync);
        cluster.Isolate(1);
        cluster.Append(1, id);
        cluster.Run(4 * LagMs);
        Assert.Equal([1, 2, 3], Members(cluster, id));
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);

        // Nor does it when it hears from them again and they have not caught up yet.
        cluster.Heal();
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 1, withinMs: 4_000);
        Assert.All(cluster.Store.History, state => Assert.True(state.LeaderEpoch < 0 || state.Isr.Length >= 1));
        Assert.Equal(3, cluster.Store.History.Last().Isr.Length);
        Assert.DoesNotContain(cluster.Store.History.SkipWhile(state => state.Isr.Length < 3), state => state.Isr.Length < 3);
    }

    [Fact]
    public void A_pause_of_the_leader_is_no_silence_of_its_followers()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[1].IsPaused = true;
        cluster.Run(4 * LagMs);
        cluster.Resume(1);
        cluster.Append(1, id);
        cluster.Run(3_000);
        Assert.Equal(1, cluster[1].Logs[id].HighWatermark);
        Assert.DoesNotContain(cluster.Store.History.SkipWhile(state => state.Isr.Length < 3), state => state.Isr.Length < 3);
    }

    [Fact]
    public void A_leader_that_is_cut_off_from_a_member_and_from_the_database_gives_way()
    {
        (TestCluster cluster, PartitionId[] ids) = LedByEach();
        PartitionId id = ids[1];
        cluster.Part(2, 3);
        cluster[2].ReachesDatabase = false;
        cluster.Until(() => cluster.Leads(1, id), withinMs: LagMs + cluster.Options.SwapPatienceMs + MarginMs);

        cluster.Append(1, id);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 1, withinMs: 1_000);
        Assert.Equal([1, 2, 3], Members(cluster, id));
    }

    private static (TestCluster Cluster, PartitionId[] Ids) LedByEach()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids = [cluster.Create([1, 2, 3], 0), cluster.Create([2, 3, 1], 1), cluster.Create([3, 1, 2], 2)];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3 && cluster.Leads(id.Partition + 1, id)));
        cluster.Run(1_000);
        return (cluster, ids);
    }

    private static int Leader(TestCluster cluster, PartitionId id) => cluster.Store[id].Leader;

    private static int[] Members(TestCluster cluster, PartitionId id) =>
        [.. cluster.Store[id].Isr.Select(member => member.BrokerId).Order()];

    private static long VerdictsUntilMs(TestCluster cluster, int broker, PartitionId id) =>
        cluster[broker].Machine.Leases.VerdictsUntilMs(cluster[broker].Views[id]);
}
