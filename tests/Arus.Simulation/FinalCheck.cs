using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What must hold of a partition when all is healed and clients rest.</summary>
internal sealed class FinalCheck(Cluster cluster, PartitionId id)
{
    private readonly PartitionHistory _history = cluster.History(id);

    public void Run()
    {
        SimulatedLog leader = cluster.ServingLeader(id)!.Log!;
        if (leader.HighWatermark != leader.LogEndOffset)
            throw ViolationException.Liveness(12, $"{_history.Name}: high watermark {leader.HighWatermark}, end {leader.LogEndOffset}");

        foreach (int broker in cluster.Database.Row(id).Replicas)
        {
            SimulatedLog log = cluster.LogOf(broker, id)!;
            log.CheckContents();
            _history.CheckHoldsCommitted(log, 1, "is in sync at last");
            if (log.HighWatermark != leader.HighWatermark || log.DurableEndOffset != leader.DurableEndOffset)
            {
                throw ViolationException.Liveness(
                    12, $"{_history.Name}: broker {broker} has {log.DurableEndOffset}, high watermark {log.HighWatermark}; the leader "
                    + $"{leader.DurableEndOffset}, {leader.HighWatermark}");
            }
        }

        CheckOnce();
    }

    private void CheckOnce()
    {
        // A replica that began behind deleted records knows nothing of their producers, as in Kafka.
        var seen = new HashSet<uint>();
        foreach (StoredBatch batch in _history.Committed)
        {
            if (batch.Next > _history.DeletedUpTo && !seen.Add(batch.Crc))
                throw ViolationException.Safety(9, $"{_history.Name}: {batch} is there twice");
        }

        foreach ((uint crc, long offset) in _history.Acknowledged)
        {
            if (offset >= _history.DeletedUpTo && _history.CommittedAt(offset)?.Crc != crc)
                throw ViolationException.Safety(1, $"{_history.Name}: what was acknowledged at {offset} is not there");
        }
    }
}
