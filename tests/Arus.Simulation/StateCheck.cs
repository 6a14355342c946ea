using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What must hold of one change of a partition's state, and which rule it was made by.</summary>
internal sealed class StateCheck(Cluster cluster, BrokerProcess process, PartitionState old, PartitionState next)
{
    private readonly PartitionHistory _history = cluster.History(old.Id);

    public void Run()
    {
        CheckEpochs();
        CheckMembers();
        CountRules();
    }

    private void CheckEpochs()
    {
        if (next.LeaderEpoch < old.LeaderEpoch)
            throw ViolationException.Safety(2, $"{_history.Name}: the epoch falls from {old.LeaderEpoch} to {next.LeaderEpoch}");

        if (next.Leader >= 0 && next.Leader != old.Leader && next.LeaderEpoch == old.LeaderEpoch)
            throw ViolationException.Safety(2, $"{_history.Name}: another leader in epoch {old.LeaderEpoch}");

        if (next.LeaderEpoch == old.LeaderEpoch || next.Leader < 0 || old.LeaderEpoch < 0)
            return;

        ReplicaId? leader = Find(next.Isr, next.Leader);
        bool wasInSync = leader is { } member && (old.Isr.Contains(member) || old.Elr.Contains(member));
        bool isUnclean = !wasInSync && next.IsUnclean && _history.Topic.AllowsUnclean && next.Isr.Length == 1 && next.Elr.IsEmpty;
        if (isUnclean && leader is not null && cluster.LogOf(next.Leader, next.Id) is { } log)
            _history.ElectedUncleanly(next.LeaderEpoch, log);
        else if (!wasInSync)
            throw ViolationException.Safety(5, $"{_history.Name}: leader {next.Leader} was not in {Text.Of(old)}");
    }

    private void CheckMembers()
    {
        if (next.LeaderEpoch >= 0 && next.Isr.Length + next.Elr.Length == 0)
            throw ViolationException.Safety(5, $"{_history.Name}: isr and elr are empty");

        if (next.Isr.Any(member => !next.Replicas.Contains(member.BrokerId)))
            throw ViolationException.Safety(5, $"{_history.Name}: the isr has a broker that is no replica: {Text.Of(next)}");

        foreach (ReplicaId member in next.Isr)
        {
            // A log that was lost since is not in the isr any more for those who know its new id.
            if (!old.Isr.Contains(member) && cluster.LogOf(member.BrokerId, old.Id) is { } log && log.LogId == member.LogId)
                _history.CheckHoldsCommitted(log, 4, "joins the isr");
        }
    }

    private void CountRules()
    {
        Statistics statistics = cluster.World.Statistics;
        if (next.LeaderEpoch > old.LeaderEpoch && next.Leader >= 0)
        {
            statistics.Count(
                old.LeaderEpoch < 0 ? Rule.FirstElection
                : next.LeaderEpoch == _history.UncleanEpoch ? Rule.UncleanElection
                : Find(old.Isr, next.Leader) is null ? Rule.ElectionFromElr
                : old.Leader == next.Leader ? Rule.SelfReelection
                : old.Leader == process.Broker.Id ? Rule.Move
                : Rule.ElectionFromIsr);
        }

        if (next.Leader < 0 && old.Leader >= 0)
            statistics.Count(Rule.Resignation);

        if (next.Isr.Length < old.Isr.Length)
        {
            statistics.Count(next.Elr.Length > old.Elr.Length ? Rule.ShrinkToElr : Rule.Shrink);
            bool isSilent = next.Leader == old.Leader && old.Isr.Any(member =>
                !next.Isr.Contains(member) && cluster.Network.IsCut(next.Leader, member.BrokerId)
                && cluster.Database.Members.ContainsKey(member.BrokerId));
            if (isSilent)
                statistics.Count(Rule.ShrinkOfSilent);
        }

        if (next.Isr.Length > old.Isr.Length && old.LeaderEpoch >= 0)
            statistics.Count(Rule.Growth);

        if (next.Elr.Length == 0 && old.Elr.Length > 0)
            statistics.Count(Rule.ElrEmptied);
    }

    private static ReplicaId? Find(IEnumerable<ReplicaId> members, int broker) =>
        members.Cast<ReplicaId?>().FirstOrDefault(member => member!.Value.BrokerId == broker);
}

internal static class Text
{
    public static string Of(PartitionState state) =>
        $"{state.Topic}/{state.Id.Partition} v{state.Version} epoch {state.LeaderEpoch} leader {state.Leader} isr [{Of(state.Isr)}]"
        + (state.Elr.IsEmpty ? "" : $" elr [{Of(state.Elr)}]") + (state.IsDeleted ? " deleted" : "");

    private static string Of(IEnumerable<ReplicaId> members) =>
        string.Join(' ', members.Select(member => $"{member.BrokerId}:{member.LogId.ToString("N")[..4]}"));
}
