using Arus.Coordination.Replication;
using Arus.Protocol;

namespace Arus.Coordination.Tests.Replication;

/// <summary>What the simulation has found, each as small as it gets.</summary>
public sealed class SimulatedScenarioTests
{
    [Fact]
    public void A_push_whose_call_waits_is_not_acknowledged_once_its_leader_is_fenced()
    {
        var cluster = new TestCluster(3);
        PartitionId[] ids = [cluster.Create([1, 2, 3], 0), cluster.Create([1, 2, 3], 1)];
        cluster.StartAll();
        cluster.Until(() => ids.All(id => cluster.Store[id].Isr.Length == 3 && cluster.Leads(1, id)));

        // One call brings records of both; those of the first are durable at once, those of the second keep it waiting.
        cluster[2].HoldsAppends = true;
        cluster.Append(1, ids[0]);
        cluster.Append(1, ids[1]);
        cluster.Until(() => cluster[2].Held.Count == 2);
        cluster[2].HoldsAppends = false;
        cluster[2].Held[0]();
        ReplicaSessionResponse? opened = null;
        cluster[2].ReceiveSessions(3, Sessions(ids[0], epoch: 1), response => opened = response);
        cluster.Until(() => opened is not null);
        int before = cluster[2].Effects.Count;
        cluster.Run(1_000);

        ReplicaPushResponse[] answers =
            [.. cluster[2].Effects.Skip(before).OfType<ReplicationEffect.AnswerPush>().Select(answer => answer.Response)];
        Assert.NotEmpty(answers);
        Assert.DoesNotContain(answers.SelectMany(answer => answer.MovedEnds), end => end.PartitionIndex == 0);
        Assert.Equal(0, cluster[1].Logs[ids[0]].HighWatermark);
    }

    [Fact]
    public void Nobody_begins_to_lead_a_partition_that_was_deleted_meanwhile()
    {
        var cluster = new TestCluster(1, minInSync: 1);
        PartitionId id = cluster.Create([1]);
        cluster.StartAll();
        cluster.Until(() => cluster[1].Effects.Exists(effect => effect is ReplicationEffect.Prepare));

        cluster.Store.Put(cluster.Store[id] with { IsDeleted = true });
        cluster.Poll();
        cluster.Run(2_000);

        Assert.Empty(cluster.Leaders(id));
        Assert.Empty(cluster[1].Logs);
    }

    [Fact]
    public void A_session_cuts_off_what_the_deposed_leader_has_taken_and_not_written_yet()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Append(1, id, 5);
        cluster.Until(() => cluster[2].Logs[id].HighWatermark == 5);

        cluster[1].ReceiveSessions(2, Sessions(id, epoch: 1, end: 5), _ => { });

        ReplicationEffect.Prepare prepare = cluster[1].Effects.OfType<ReplicationEffect.Prepare>().Last();
        Assert.Equal((1, 5L), (prepare.Epoch, prepare.TruncateTo));
    }

    [Fact]
    public void A_follower_whose_late_acknowledgement_was_lost_is_asked_again()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster[2].HoldsAppends = true;
        cluster.Append(1, id);
        cluster.Until(() => cluster[2].Held.Count == 1);
        cluster.Run(500);
        cluster.Cut(2, 1);
        cluster[2].Held[0]();
        cluster[2].HoldsAppends = false;
        cluster.Run(1_000);
        cluster.Heal();

        for (int second = 0; second < 15; second++)
        {
            cluster[1].Feed(machine => machine.Configure(id, 2, false, cluster.NowMs)); // The partition is looked at for other reasons.
            cluster.Run(1_000);
        }

        Assert.Equal(1, cluster[1].Logs[id].HighWatermark);
    }

    [Fact]
    public void A_follower_that_lags_does_not_come_and_go()
    {
        (TestCluster cluster, PartitionId id) = TestCluster.Running();
        cluster.Kill(3);
        cluster.Until(() => cluster.Store[id].Isr.Length == 2);
        int changes = cluster.Store.History.Count;
        cluster[2].HoldsAppends = true;
        for (int second = 0; second < 60; second++)
        {
            cluster.Append(1, id);
            cluster.Run(1_000);
        }

        Assert.InRange(cluster.Store.History.Count - changes, 1, 5);
        Assert.Single(cluster.Store[id].Isr);
    }

    private static ReplicaSessionRequest Sessions(PartitionId id, int epoch, long end = 0) => new()
    {
        Sessions =
        [
            new ReplicaSessionRequest.SessionOpening
            {
                TopicId = id.TopicId, PartitionIndex = id.Partition, LeaderEpoch = epoch,
                LogEndOffset = end, HighWatermark = end,
                Epochs =
                [
                    new ReplicaSessionRequest.SessionEpoch(), new ReplicaSessionRequest.SessionEpoch { Epoch = epoch, StartOffset = end },
                ],
            },
        ],
    };
}
