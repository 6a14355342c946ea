using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>Partitions that get other replicas.</summary>
public sealed class ReassignmentTests
{
    [Fact]
    public void All_replicas_are_replaced_and_nobody_leaves_before_all_who_are_new_are_in_sync()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 6, minInSync: 1);
        cluster.Append(1, id, 25);
        cluster[6].HoldsAppends = true;
        Reassign(cluster, id, 4, 5, 6);
        cluster.Until(() => cluster.Store[id].Isr.Length == 5);
        cluster.Run(5_000);
        Assert.Equal<int>([1, 2, 3], cluster.Store[id].Replicas);
        Assert.Equal([1, 2, 3, 4, 5], Isr(cluster, id));

        cluster[6].HoldsAppends = false;
        cluster[6].Feed(machine => machine.LogFailed(id, cluster.NowMs));
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [4, 5, 6]);
        Assert.Equal<int>([4, 5, 6], cluster.Store[id].Replicas);
        cluster.Until(() => cluster.Leaders(id) is [4]);
        cluster.Append(4, id);
        cluster.Until(() => cluster[4].Logs[id].HighWatermark == 26);
        Assert.Equal(cluster[4].Logs[id].Records, cluster[6].Logs[id].Records);
    }

    [Fact]
    public void Until_it_is_over_the_minimum_in_sync_is_that_of_the_replicas_before()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 3, minInSync: 2, replicas: 1);
        cluster[2].HoldsAppends = true;
        cluster[3].HoldsAppends = true;
        cluster.Append(1, id, 5);
        Reassign(cluster, id, 1, 2, 3);
        cluster.Run(1_000);
        cluster.Append(1, id);
        cluster.Until(() => cluster[1].Logs[id].HighWatermark == 6);
        Assert.Equal<int>([1], cluster.Store[id].Replicas);
    }

    [Fact]
    public void A_replication_factor_grows_and_shrinks()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 3, minInSync: 2, replicas: 1);
        cluster.Append(1, id, 5);
        Reassign(cluster, id, 3, 2, 1);
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [1, 2, 3]);
        Assert.Equal<int>([3, 2, 1], cluster.Store[id].Replicas);

        Reassign(cluster, id, 2);
        cluster.Until(() => cluster.Leaders(id) is [2] && Isr(cluster, id) is [2]);
        Assert.Empty(cluster.Store[id].Elr);
        cluster.Append(2, id);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 6);
    }

    [Fact]
    public void A_dead_replica_is_replaced()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        Reassign(cluster, id, 1, 2, 4);
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [1, 2, 4]);
    }

    [Fact]
    public void It_waits_while_too_few_of_those_who_stay_are_in_sync()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 5, minInSync: 2);
        cluster.Kill(5);
        Reassign(cluster, id, 4, 5);
        cluster.Until(() => cluster.Store[id].Isr.Length == 4);
        cluster.Run(5_000);
        Assert.Equal<int>([1, 2, 3], cluster.Store[id].Replicas);
        cluster.Start(5);
        cluster.Until(() => cluster.Leaders(id) is [4] && Isr(cluster, id) is [4, 5]);
    }

    [Fact]
    public void A_reassignment_that_is_cancelled_leaves_the_replicas_of_before()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 5);
        cluster.Kill(5);
        Reassign(cluster, id, 4, 5, 2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 4);
        Reassign(cluster, id);
        cluster.Until(() => Isr(cluster, id) is [1, 2, 3]);
        Assert.Equal<int>([1, 2, 3], cluster.Store[id].Replicas);
        Assert.Equal([1], cluster.Leaders(id));
    }

    [Fact]
    public void It_goes_on_under_another_leader()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 5);
        cluster.Append(1, id, 5);
        cluster[5].HoldsAppends = true;
        Reassign(cluster, id, 4, 5, 1);
        cluster.Until(() => cluster.Store[id].Isr.Length == 4);
        cluster.Kill(1);
        cluster.Kill(5);
        cluster.Until(() => cluster.Leaders(id) is [2], withinMs: 10_000);
        cluster[5].HoldsAppends = false;
        cluster.Start(5);
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [4, 5]);
        cluster.Until(() => cluster.Leaders(id) is [4]);
    }

    [Fact]
    public void Who_keeps_the_partition_no_more_deletes_its_log_after_a_while()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        Reassign(cluster, id, 4, 2, 1);
        cluster.Until(() => Isr(cluster, id) is [1, 2, 4]);
        cluster.Run(20_000);
        Assert.Contains(id, cluster[3].Logs.Keys);
        cluster.Run(20_000);
        Assert.DoesNotContain(id, cluster[3].Logs.Keys);

        // It may come back, from nothing.
        cluster.Append(cluster.Leaders(id)[0], id, 3);
        Reassign(cluster, id, 3, 4, 2);
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [2, 3, 4]);
        Assert.Equal(3, cluster[3].Logs[id].LogEndOffset);
    }

    [Fact]
    public void Who_keeps_it_again_meanwhile_does_not()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running(brokers: 4);
        cluster.Append(1, id, 3);
        Guid log = cluster[3].Logs[id].LogId;
        Reassign(cluster, id, 4, 2, 1);
        cluster.Until(() => Isr(cluster, id) is [1, 2, 4]);
        cluster.Run(20_000);
        Reassign(cluster, id, 1, 2, 3);
        cluster.Until(() => cluster.Store[id].Target.IsEmpty && Isr(cluster, id) is [1, 2, 3]);
        cluster.Run(40_000);
        Assert.Equal((log, 3), (cluster[3].Logs[id].LogId, cluster[3].Logs[id].LogEndOffset));
    }

    [Fact]
    public void An_operator_allows_an_unclean_election_once()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 10);
        cluster.Run(100);
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        cluster.Append(1, id, 5);
        cluster.Run(100);
        cluster.Kill(2);
        cluster.Kill(1);
        cluster.Start(3);
        cluster.Run(10_000);
        Assert.Empty(cluster.Leaders(id));

        cluster[3].Feed(machine => machine.AllowUncleanElection(id, cluster.NowMs));
        cluster.Until(() => cluster.Leaders(id) is [3], withinMs: 5_000);
        Assert.True(cluster.Store[id].IsUnclean);
    }

    /// <summary>As an operator's call does it: in the database, behind the leader's back. No brokers cancel.</summary>
    private static void Reassign(TestCluster cluster, PartitionId id, params int[] target)
    {
        cluster.Store.Put(cluster.Store[id] with { Target = [.. target] });
        cluster.Poll();
    }

    private static int[] Isr(TestCluster cluster, PartitionId id) => [.. cluster.Store[id].Isr.Select(member => member.BrokerId).Order()];
}
