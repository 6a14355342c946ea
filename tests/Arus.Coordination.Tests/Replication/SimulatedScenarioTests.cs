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

    private static ReplicaSessionRequest Sessions(PartitionId id, int epoch) => new()
    {
        Sessions =
        [
            new ReplicaSessionRequest.SessionOpening
            {
                TopicId = id.TopicId, PartitionIndex = id.Partition, LeaderEpoch = epoch,
                Epochs = [new ReplicaSessionRequest.SessionEpoch { Epoch = epoch }],
            },
        ],
    };
}
