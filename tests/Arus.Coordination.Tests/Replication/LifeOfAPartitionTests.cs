using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>The ordinary life: election, sessions, pushes, high watermark, growth, shrinking, moves.</summary>
public sealed class LifeOfAPartitionTests
{
    [Fact]
    public void A_new_partition_gets_its_first_replica_as_leader_and_the_others_in_sync()
    {
        var cluster = new TestCluster(3);
        PartitionId id = cluster.Create([2, 3, 1]);
        cluster.StartAll();

        cluster.Until(() => cluster.Store[id].Isr.Length == 3);

        PartitionState state = cluster.Store[id];
        Assert.Equal((2, 0), (state.Leader, state.LeaderEpoch));
        Assert.Equal([2, 1, 3], state.Isr.Select(member => member.BrokerId).Order().OrderByDescending(broker => broker == 2));
        cluster.Run(100);
        Assert.Equal([2], cluster.Leaders(id));
        Assert.Equal(ReplicaRole.Follower, cluster[1].Views[id].Role);
    }

    [Fact]
    public void A_record_is_committed_when_all_in_sync_have_it_and_the_followers_hear_of_it_within_ten_milliseconds()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();

        cluster.Append(1, id, 3);
        Assert.Equal(0, cluster[1].Logs[id].HighWatermark);
        cluster.Run(5);

        Assert.Equal(3, cluster[1].Logs[id].HighWatermark);
        Assert.Equal(3, cluster[2].Logs[id].DurableEndOffset);
        cluster.Run(20);
        Assert.Equal(3, cluster[2].Logs[id].HighWatermark);
        Assert.Equal(3, cluster[3].Logs[id].HighWatermark);
    }

    [Fact]
    public void After_the_leaders_death_another_in_sync_replica_leads_and_goes_on()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 3);
        cluster.Run(100);

        cluster.Kill(1);
        cluster.Until(() => cluster.Leads(2, id));

        PartitionState state = cluster.Store[id];
        Assert.Equal((2, 1), (state.Leader, state.LeaderEpoch));
        Assert.Equal([2, 3], state.Isr.Select(member => member.BrokerId).Order());
        cluster.Append(2, id);
        cluster.Run(100);
        Assert.Equal(4, cluster[3].Logs[id].HighWatermark);
    }

    [Fact]
    public void A_broker_that_returns_catches_up_and_is_in_sync_again()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 3);
        cluster.Run(100);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(1, id, 55);
        cluster.Run(100);
        Assert.Equal(58, cluster[1].Logs[id].HighWatermark);

        cluster.Start(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 3);

        Assert.Equal(58, cluster[3].Logs[id].DurableEndOffset);
    }
}
