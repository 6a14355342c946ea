using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>Replicas that are not in sync are sent a bounded number of bytes a second, behind those that are.</summary>
public sealed class CatchUpTests
{
    private const int Backlog = 1_000;

    /// <summary>A hundred records.</summary>
    private const int Rate = 100 * TestCluster.RecordBytes;

    [Fact]
    public void A_replica_that_returns_catches_up_within_the_rate_and_those_in_sync_do_not_wait_for_it()
    {
        var cluster = new TestCluster(3);
        cluster.Options = cluster.Options with { CatchUpBytesPerSecond = Rate };
        PartitionId big = cluster.Create([1, 2, 3]);
        PartitionId live = cluster.Create([1, 3, 2], partition: 1);
        FallBehind(cluster, big, live);

        cluster.Start(3);
        cluster.Until(() => cluster.Store[live].Isr.Length == 3);
        cluster.Run(1_000);
        Assert.InRange(cluster[3].Logs[big].DurableEndOffset, 50, 350);

        for (int second = 0; second < 3; second++)
        {
            long before = cluster[3].Logs[big].DurableEndOffset;
            for (int i = 0; i < 100; i++)
            {
                long end = cluster.Append(1, live);
                cluster.Run(10);
                Assert.Equal(end, cluster[1].Logs[live].HighWatermark);
            }

            Assert.InRange(cluster[3].Logs[big].DurableEndOffset - before, 80, 120);
        }

        Assert.Equal(2, cluster.Store[big].Isr.Length);
        cluster[1].Machine.CatchUp.BytesPerSecond = long.MaxValue;
        cluster.Until(() => cluster.Store[big].Isr.Length == 3);
        Assert.Equal(Backlog, cluster[3].Logs[big].DurableEndOffset);
    }

    [Fact]
    public void All_that_catch_up_share_the_rate_of_a_broker()
    {
        var cluster = new TestCluster(3);
        cluster.Options = cluster.Options with { CatchUpBytesPerSecond = Rate };
        PartitionId[] ids = [cluster.Create([1, 2, 3]), cluster.Create([1, 2, 3], 1), cluster.Create([1, 2, 3], 2)];
        FallBehind(cluster, ids);

        cluster.Start(3);
        cluster.Run(2_000);
        long before = ids.Sum(id => cluster[3].Logs[id].DurableEndOffset);
        cluster.Run(4_000);
        Assert.InRange(ids.Sum(id => cluster[3].Logs[id].DurableEndOffset) - before, 350, 450);
        Assert.All(ids, id => Assert.InRange(cluster[3].Logs[id].DurableEndOffset, 50, 300));
    }

    [Fact]
    public void A_partition_below_the_minimum_is_not_held_back()
    {
        var cluster = new TestCluster(3);
        cluster.Options = cluster.Options with { CatchUpBytesPerSecond = Rate };
        PartitionId id = cluster.Create([1, 2, 3]);
        FallBehind(cluster, id);
        Assert.Equal(Backlog, cluster[1].Logs[id].HighWatermark);
        cluster.Kill(2);
        cluster.Until(() => cluster.Store[id].Isr.Length == 1);

        cluster.Start(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2, withinMs: 1_500);
        Assert.Equal(Backlog, cluster[3].Logs[id].DurableEndOffset);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(50 << 20)]
    [InlineData(long.MaxValue / 2)]
    public void What_is_granted_is_the_rate_also_when_a_batch_is_larger(long rate)
    {
        var budget = new CatchUpBudget(rate);
        double brought = 0;
        long now = 5;
        for (long end = now + 100_000; now < end;)
        {
            int granted = budget.Take(now);
            if (granted == 0)
            {
                long due = budget.DueMs(now);
                Assert.InRange(due, now + 1, now + 1_000);
                now = due;
                continue;
            }

            int used = brought % 3 == 0 ? granted : granted + (int)Math.Min(rate / 4, 1000);
            brought += used;
            budget.Settle(granted, used);
            if (rate > 1L << 40)
                break; // More than can be asked for.
        }

        if (rate < 1L << 40)
            Assert.InRange(brought, rate * 90.0, rate * 102.0);
    }

    /// <summary>The last broker is away while records are appended.</summary>
    private static void FallBehind(TestCluster cluster, params PartitionId[] ids)
    {
        int away = cluster.Brokers.Length;
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == away && cluster.Leads(1, id)));
        cluster.Run(100);
        cluster.Kill(away);
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == away - 1));
        cluster.Append(1, ids[0], Backlog);
        foreach (PartitionId id in ids.Skip(1))
            cluster.Append(1, id, ids.Length > 2 ? Backlog : 1);

        cluster.Run(500);
    }
}
