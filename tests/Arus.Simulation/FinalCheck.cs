using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What must hold of a partition when all is healed and clients rest.</summary>
internal sealed class FinalCheck(Cluster cluster, PartitionId id)
{
    private readonly PartitionHistory _history = cluster.History(id);

    /// <summary>All replicas have all records, and know that they are committed.</summary>
    public bool IsLevel =>
        cluster.ServingLeader(id) is { Log: { } leader } && leader.HighWatermark == leader.LogEndOffset
        && Array.TrueForAll(Logs, log => log.HighWatermark == leader.HighWatermark && log.DurableEndOffset == leader.DurableEndOffset);

    private SimulatedLog[] Logs => [.. cluster.Database.Row(id).Replicas.Select(broker => cluster.LogOf(broker, id)!)];

    public void Run()
    {
        if (!IsLevel)
        {
            string logs = string.Join(", ", Logs.Select(log => $"{log.BrokerId}: {log.DurableEndOffset} hw {log.HighWatermark}"));
            throw ViolationException.Liveness(12, $"{_history.Name}: replicas differ at last: {logs}");
        }

        foreach (SimulatedLog log in Logs)
        {
            log.CheckContents();
            _history.CheckHoldsCommitted(log, 1, "is in sync at last");
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
