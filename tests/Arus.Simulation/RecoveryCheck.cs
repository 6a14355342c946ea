namespace Arus.Simulation;

/// <summary>What must hold of a log that is opened again: if it keeps its id, it has what it had, and remembers its fence.</summary>
internal sealed class RecoveryCheck(BrokerProcess process, PartitionHistory history, SimulatedLog before, SimulatedLog log)
{
    public void Run()
    {
        if (log.LogId != before.LogId)
        {
            process.Cluster.World.Statistics.Count(Rule.LogIdRenewed);
            return;
        }

        process.Cluster.World.Statistics.Count(Rule.LogRecovered);
        if (process.Cluster.Bug == Bug.LogIdNotRenewed)
            return;

        if (log.DurableEndOffset < before.GuaranteedEnd)
        {
            throw ViolationException.Safety(
                1, $"{history.Name}: {process} opens its log up to {log.DurableEndOffset}, it had {before.GuaranteedEnd} with that id");
        }

        if (process.Broker.Fences.TryGetValue(log.Id, out (Guid LogId, int Epoch) fence) && fence.LogId == log.LogId
            && log.FencedEpoch < fence.Epoch)
        {
            throw ViolationException.Safety(6, $"{history.Name}: {process} forgot the fence {fence.Epoch}, it has {log.FencedEpoch}");
        }
    }
}
