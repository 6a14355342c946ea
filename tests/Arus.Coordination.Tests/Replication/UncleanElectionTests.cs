using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>What happens when nobody who is left has all that was acknowledged, and where every broker may lead.</summary>
public sealed class UncleanElectionTests
{
    [Theory, InlineData(false), InlineData(true)]
    public void A_replica_out_of_sync_leads_only_if_the_topic_allows_it(bool allowed)
    {
        (TestCluster cluster, PartitionId id) = LeftWithStaleReplica(allowed);

        cluster.Run(10_000);

        Assert.Equal(allowed ? [3] : [], cluster.Leaders(id));
        Assert.Equal(allowed, cluster.Store[id].IsUnclean);
        if (allowed)
            Assert.Equal((3, 1), (cluster.Store[id].Isr.Single().BrokerId, cluster.Store[id].Isr.Length));
    }

    [Fact]
    public void Who_loses_committed_records_to_an_unclean_leader_gets_another_log_id()
    {
        (TestCluster cluster, PartitionId id) = LeftWithStaleReplica(allowed: true);
        cluster.Until(() => cluster.Leads(3, id));
        cluster.Append(3, id, 2);
        Guid former = cluster[1].Logs[id].LogId;
        Assert.Equal(15, cluster[1].Logs[id].LogEndOffset);

        cluster.Start(1);
        cluster.Start(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);

        Assert.NotEqual(former, cluster[1].Logs[id].LogId);
        Assert.Equal(cluster[3].Logs[id].Records, cluster[1].Logs[id].Records);
        Assert.Equal(cluster[3].Logs[id].Records, cluster[2].Logs[id].Records);
        Assert.False(cluster.Store[id].IsUnclean);
    }

    [Fact]
    public void A_log_that_never_took_part_is_not_elected_even_uncleanly()
    {
        (TestCluster cluster, PartitionId id) = LeftWithStaleReplica(allowed: true, emptied: true);

        cluster.Run(10_000);

        Assert.Empty(cluster.Leaders(id));
    }

    [Fact]
    public void A_follower_does_not_truncate_committed_records_for_a_leader_that_claims_to_be_clean()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster.Kill(1);
        cluster[2].Logs[id].Truncate(4);
        cluster[2].Logs[id].Checkpoint();

        cluster.Run(20_000);

        Assert.Equal([2], cluster.Leaders(id));
        Assert.Equal(10, cluster[3].Logs[id].LogEndOffset);
        Assert.NotEmpty(cluster[3].Reports);
    }

    [Fact]
    public void A_shared_partition_is_led_by_its_replica_and_then_by_any_live_broker()
    {
        var cluster = new TestCluster(3);
        PartitionId id = cluster.Create([2], isShared: true);
        cluster.StartAll();
        cluster.Until(() => cluster.Leads(2, id));
        Assert.Equal((0, 0), (cluster.Store[id].LeaderEpoch, cluster.Store[id].Isr.Length));
        Assert.Equal(cluster.NowMs + 1, Math.Min(cluster.NowMs + 1, cluster[2].Machine.Leases.VerdictsUntilMs(cluster[2].Views[id])));

        cluster.Kill(2);
        cluster.Until(() => cluster.Leads(1, id), withinMs: 1_000);
        Assert.Equal(1, cluster.Store[id].LeaderEpoch);

        // Its former leader is back, and opens nothing.
        cluster.Start(2);
        cluster.Run(2_000);
        Assert.Equal([1], cluster.Leaders(id));
        Assert.Equal(2, cluster.Store.History.Count(state => state.Leader > 0));
        Assert.DoesNotContain(cluster[2].Effects, effect => effect is ReplicationEffect.OpenLog);
    }

    [Fact]
    public void A_shared_partition_whose_leader_cannot_open_it_goes_to_another()
    {
        var cluster = new TestCluster(2);
        cluster[1].FailsToOpen = true;
        PartitionId id = cluster.Create([1], isShared: true);
        cluster.StartAll();

        cluster.Until(() => cluster.Leads(2, id), withinMs: 3_000);
    }

    [Fact]
    public void A_shared_partition_is_deleted_though_its_replica_is_away_and_again_when_that_fails()
    {
        var cluster = new TestCluster(3);
        PartitionId id = cluster.Create([3], isShared: true);
        cluster.StartAll();
        cluster.Until(() => cluster.Leaders(id).Length == 1);
        cluster.Kill(3);
        cluster.Until(() => cluster.Leaders(id) is [1 or 2]);
        int leader = cluster.Leaders(id)[0];

        cluster.Store.Put(cluster.Store[id] with { IsDeleted = true });
        cluster.Poll();
        Assert.Equal([leader], Deleting());
        cluster[leader].Effects.Clear();
        cluster[leader].FailLog(id);
        cluster.Until(() => Deleting() is [_]);
        cluster.Run(60_000);
        Assert.Equal([leader], Deleting());

        int[] Deleting() =>
        [
            .. cluster.Brokers.SelectMany(broker =>
                broker.Effects.OfType<ReplicationEffect.CloseLog>().Where(close => close.Delete).Select(_ => broker.Id)),
        ];
    }

    [Fact]
    public void A_shared_partition_moves_with_its_log()
    {
        var cluster = new TestCluster(2);
        PartitionId id = cluster.Create([1], isShared: true);
        cluster.StartAll();
        cluster.Until(() => cluster.Leads(1, id));

        cluster[1].Feed(machine => machine.MoveLeadership(id, 2, cluster.NowMs));
        cluster.Until(() => cluster.Leaders(id) is [2], withinMs: 500);

        Assert.Contains(cluster[1].Effects, effect => effect is ReplicationEffect.CloseLog { Delete: false });
    }

    /// <summary>Brokers 1 and 2 have 15 committed records and are dead; 3 has at most 10 of them.</summary>
    private static (TestCluster Cluster, PartitionId Id) LeftWithStaleReplica(bool allowed, bool emptied = false)
    {
        var cluster = new TestCluster(3, minInSync: 2, uncleanElections: allowed);
        PartitionId id = cluster.Create([1, 2, 3]);
        cluster.StartAll();
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(1, id, 5);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 15);
        foreach (int broker in new[] { 1, 2 })
        {
            cluster[broker].Logs[id].Checkpoint();
            cluster.Kill(broker, declaredDead: false);
        }

        if (emptied)
            cluster[3].Logs.Clear();

        cluster.Start(3);
        return (cluster, id);
    }
}
