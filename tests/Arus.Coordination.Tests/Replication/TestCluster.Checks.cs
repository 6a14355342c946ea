using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <content>What has to hold at every moment.</content>
internal sealed partial class TestCluster
{
    /// <summary>No high watermark passes what any member of the stored isr has.</summary>
    public void CheckWatermark(TestBroker broker, PartitionId id, long highWatermark)
    {
        PartitionState state = Store[id];
        if (state.IsShared || state.IsUnclean)
            return;

        if (broker.Views.TryGetValue(id, out ReplicaView? view) && view.Role == ReplicaRole.Leader)
            Committed?.Invoke(broker, id, highWatermark);

        if (state.Leader != broker.Id)
            return;

        foreach (ReplicaId member in state.Isr)
        {
            TestLog log = this[member.BrokerId].Logs[id];
            Assert.True(log.LogId != member.LogId || log.DurableEndOffset >= highWatermark,
                $"high watermark {highWatermark} above the end {log.DurableEndOffset} of broker {member.BrokerId}");
        }
    }

    /// <summary>When a leader begins to serve, no earlier one gives verdicts any more.</summary>
    public void CheckVerdicts(TestBroker broker, ReplicaView view)
    {
        if (view.Role != ReplicaRole.Leader || view.State.IsShared)
            return;

        Committed?.Invoke(broker, view.State.Id, broker.Logs[view.State.Id].HighWatermark);

        foreach (TestBroker other in Others(broker).Where(other => other.IsUp))
        {
            if (other.Views.TryGetValue(view.State.Id, out ReplicaView? old) && old.State.LeaderEpoch < view.State.LeaderEpoch)
            {
                long until = other.Machine.Leases.VerdictsUntilMs(old);
                Assert.True(until <= NowMs, $"broker {other.Id} gives verdicts until {until}, {broker.Id} leads at {NowMs}");
            }
        }
    }
}
