using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>What goes from a leader to its followers in which calls, and the leases that come back.</summary>
public sealed class PushTests
{
    [Fact]
    public void A_partition_has_one_push_to_a_follower_under_way_at_most()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 2, replicas: 2);
        cluster[2].HoldsAppends = true;
        cluster[1].Effects.Clear();

        for (int i = 0; i < 20; i++)
        {
            cluster.Append(1, id);
            cluster.Run(2);
        }

        Assert.Single(Pushes(cluster[1], 2), push => push.Request.Partitions.Length > 0);
        cluster[2].HoldsAppends = false;
        cluster[2].Held.ForEach(append => append());
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 20, withinMs: 1_000);
    }

    [Fact]
    public void What_many_partitions_have_gathered_goes_in_one_call_and_four_calls_at_most_are_under_way()
    {
        var cluster = new TestCluster(2);
        PartitionId[] ids = [.. Enumerable.Range(0, 60).Select(i => cluster.Create([1, 2], i))];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 2));
        cluster.Run(600);
        cluster[2].HoldsAppends = true;
        cluster[1].Effects.Clear();

        foreach (PartitionId id in ids)
            cluster.Append(1, id);

        Assert.Equal([1, 1, 1, 1], Pushes(cluster[1], 2).Select(push => push.Request.Partitions.Length));
        cluster[2].HoldsAppends = false;
        cluster[2].Held.ForEach(append => append());
        cluster.Run(5);
        Assert.InRange(Pushes(cluster[1], 2).ElementAt(4).Request.Partitions.Length, 56, 60);
        cluster.Until(() => ids.All(id => cluster[1].Logs[id].HighWatermark == 1), withinMs: 100);
    }

    [Fact]
    public void Records_for_which_a_call_has_no_room_go_with_the_next()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.RecordsInPush = 3;
        cluster.Append(1, id, 100);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 100, withinMs: 1_000);
    }

    [Fact]
    public void What_cannot_be_read_is_not_pushed_at_the_speed_of_the_network()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 2, replicas: 2);
        cluster.RecordsInPush = 0;
        cluster.Append(1, id);
        cluster[1].Effects.Clear();
        cluster.Run(1_000);
        Assert.InRange(Pushes(cluster[1], 2).Count(push => push.Request.Partitions.Length > 0), 5, 11);

        cluster.RecordsInPush = 1;
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 1, withinMs: 200);
    }

    [Fact]
    public void Brokers_that_share_partitions_renew_their_leases_twice_a_second()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Run(1_000);
        cluster[1].Effects.Clear();
        cluster.Run(5_000);

        Assert.Equal(10, Pushes(cluster[1], 2).Count());
        Assert.Empty(Pushes(cluster[1], 4));
        Assert.True(cluster[1].Machine.Leases.VerdictsUntilMs(cluster[1].Views[id]) > cluster.NowMs + 1_000);
    }

    [Fact]
    public void Pushes_that_are_answered_save_heartbeats()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Run(1_000);
        cluster[1].Effects.Clear();
        for (int i = 0; i < 30; i++)
        {
            cluster.Append(1, id);
            cluster.Run(100);
        }

        Assert.DoesNotContain(Pushes(cluster[1], 2), push => push.Request.Partitions.Length == 0);
        Assert.True(cluster[1].Machine.Leases.VerdictsUntilMs(cluster[1].Views[id]) > cluster.NowMs + 1_000);
    }

    [Fact]
    public void A_leader_whose_follower_does_not_answer_gives_no_verdicts_and_serves_on()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Cut(2, 1);
        cluster.Run(3_000);

        Assert.True(cluster[1].Machine.Leases.VerdictsUntilMs(cluster[1].Views[id]) <= cluster.NowMs);
        Assert.Equal(ReplicaRole.Leader, cluster[1].Views[id].Role);
    }

    [Fact]
    public void A_dead_member_of_the_elr_needs_no_lease_as_long_as_the_membership_is_known_to_be_so()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id] is { Isr.Length: 1, Elr.Length: > 0 });
        for (int i = 0; i < 5; i++)
        {
            cluster.Run(1_000);
            cluster.TellMembership();
        }

        Assert.True(cluster[1].Machine.Leases.VerdictsUntilMs(cluster[1].Views[id]) > cluster.NowMs);
        cluster.Run(3_000);
        Assert.True(cluster[1].Machine.Leases.VerdictsUntilMs(cluster[1].Views[id]) <= cluster.NowMs);
    }

    private static IEnumerable<ReplicationEffect.SendPush> Pushes(TestBroker broker, int to) =>
        broker.Effects.OfType<ReplicationEffect.SendPush>().Where(push => push.To == to);
}
