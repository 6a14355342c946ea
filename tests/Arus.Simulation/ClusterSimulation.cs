using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>
/// One seed: a cluster under clients and faults until there were enough of both; then all is healed, and the cluster has to be whole
/// again, to survive one more death, and to do without its database.
/// </summary>
internal sealed class ClusterSimulation
{
    private const int SettleMs = 60_000;

    /// <summary>Beyond detection and lease.</summary>
    private const int FailoverMs = 2_000;

    /// <summary>In which every partition gets a record.</summary>
    private const int DatabaseAwayMs = 10_000;

    /// <summary>Beyond the lag time: to find who is silent, to change the state, and for every partition to get a record.</summary>
    private const int CutMs = 12_000;

    private readonly FaultInjector _faults;
    private readonly Client[] _clients;
    private readonly Producer[] _producers;
    private readonly Reader[] _readers;

    public ClusterSimulation(int seed, Bug bug = Bug.None, Action<string>? trace = null)
    {
        World = new World(seed, trace);
        Cluster = new Cluster(World, bug);
        World.Trace?.Invoke($"seed {seed}: {Cluster.Plan}");
        _faults = new FaultInjector(this);
        _producers = [.. Enumerable.Range(1, 6).Select(i => new Producer(this, i, all: i <= 4))];
        _readers = [new Reader(this, fromFollowers: false), new Reader(this, fromFollowers: true)];
        _clients = [.. _producers, .. _readers, new OffsetAsker(this), new OffsetAsker(this)];
    }

    public World World { get; }

    public Cluster Cluster { get; }

    /// <summary>Whether faults happen.</summary>
    public bool IsTroubled { get; private set; } = true;

    /// <summary>Whether clients begin operations.</summary>
    public bool IsWorking { get; private set; } = true;

    /// <summary>The longest that a client thinks before its next operation.</summary>
    public int PaceMs { get; private set; } = 700;

    private bool IsEnough =>
        World.Statistics.TotalOperations >= SeedPlan.MinOperations && World.Statistics.TotalFaults >= SeedPlan.MinFaults;

    /// <exception cref="ViolationException">An invariant does not hold.</exception>
    public Statistics Run()
    {
        foreach (TopicPlan topic in Cluster.Plan.Topics)
            Cluster.CreateTopic(topic);

        foreach (Broker broker in Cluster.Brokers)
            World.After(World.Between(0, 500), broker.Start);

        Array.ForEach(_clients, client => client.Live());
        new Administrator(this).Live();
        World.After(1_000, _faults.Live);
        if (!World.RunUntil(600_000, () => IsEnough))
            throw ViolationException.Liveness(12, "Clients get hardly any answers");

        Settle();
        if (World.Chance(0.5))
            KillOne();

        if (World.Chance(0.5))
            DoWithoutDatabase();

        if (World.Chance(0.5))
            DoWithoutLink();

        Finish();
        return World.Statistics;
    }

    /// <summary>Whether all that is on a broker's disk is elsewhere too, in every isr that it is in.</summary>
    public bool MayEmptyDisk(Broker broker)
    {
        foreach (PartitionId id in Cluster.Partitions)
        {
            PartitionState row = Cluster.Database.Row(id);
            ReplicaId[] members = [.. row.Isr, .. row.Elr];
            if (Array.Exists(members, member => member.BrokerId == broker.Id) && !Array.Exists(members, IsIntactElsewhere))
                return false;

            bool IsIntactElsewhere(ReplicaId member) =>
                member.BrokerId != broker.Id && row.Isr.Contains(member) && Cluster.LogOf(member.BrokerId, id) is { } log
                && log.LogId == member.LogId && !Cluster.Brokers[member.BrokerId].IsLost(log);
        }

        return true;
    }

    /// <summary>Invariant 12: with all up, every partition is led, its isr is whole, and clients get on.</summary>
    private void Settle()
    {
        IsTroubled = false;
        World.Trace?.Invoke($"{World.NowMs,7} ---- all is healed");
        _faults.Heal();
        if (!World.RunUntil(World.NowMs + SettleMs, IsAllWhole))
        {
            PartitionId? sick = Cluster.Partitions.Cast<PartitionId?>().FirstOrDefault(id => !IsWhole(id!.Value));
            throw ViolationException.Liveness(
                12, $"after {SettleMs} ms of health: {(sick is { } id ? Describe(id) : "a broker is not up")}");
        }
    }

    /// <summary>Invariant 12: after a death every partition is led within detection, lease and two seconds.</summary>
    private void KillOne()
    {
        Broker victim = World.Pick(Cluster.Brokers);
        World.Trace?.Invoke($"{World.NowMs,7} ---- broker {victim.Id} is killed");
        victim.Crash(powerLoss: false);
        int boundMs = SeedPlan.MaxDetectionMs + Cluster.Plan.LeaseMs + FailoverMs;
        if (!World.RunUntil(World.NowMs + boundMs, () => Cluster.Partitions.TrueForAll(IsServed)))
            throw ViolationException.Liveness(12, $"{boundMs} ms after a death: {Describe(Cluster.Partitions.Find(id => !IsServed(id)))}");

        World.Statistics.Count(Rule.KillFailedOver);
        victim.Start();
        Settle();
    }

    /// <summary>Invariant 13: while every isr is whole, nobody notices that the database is away.</summary>
    private void DoWithoutDatabase()
    {
        World.RunUntil(World.NowMs + 3_000, () => false); // Every broker has read the membership.
        AwaitCommits();
        Settle();
        World.Trace?.Invoke($"{World.NowMs,7} ---- the database goes away");
        Cluster.Database.Away++;
        PaceMs = 300;
        var ends = Cluster.Partitions.ToDictionary(id => id, id => Cluster.History(id).CommittedEnd);
        if (!World.RunUntil(World.NowMs + DatabaseAwayMs, () => ends.Keys.All(id => IsStuck(id) || IsAhead(id))))
        {
            PartitionId sick = ends.Keys.First(id => !IsStuck(id) && !IsAhead(id));
            throw ViolationException.Liveness(13, $"without the database nothing is acknowledged: {Describe(sick)}");
        }

        World.Statistics.Count(Rule.DatabaseAwayAcknowledged);
        Cluster.Database.Away--;
        Settle();

        bool IsAhead(PartitionId id) => Cluster.History(id).CommittedEnd > ends[id];
    }

    /// <summary>
    /// Invariant 12: two brokers do not reach each other, which nobody else notices; where a third is in sync with one of them, records are
    /// committed again after the lag time.
    /// </summary>
    private void DoWithoutLink()
    {
        int[] pair = [.. Enumerable.Range(0, Cluster.Brokers.Count)];
        World.Random.Shuffle(pair);
        (int one, int other) = (pair[0], pair[1]);
        if (Cluster.Partitions.Exists(IsHalved))
            return;

        World.Trace?.Invoke($"{World.NowMs,7} ---- brokers {one} and {other} are cut off from each other");
        Cluster.Network.CutBoth(one, other, true);
        PaceMs = 300;
        var ends = Cluster.Partitions.ToDictionary(id => id, id => Cluster.ServingLeader(id)?.Log?.LogEndOffset ?? 0);
        int boundMs = Cluster.Plan.LagTimeMaxMs + CutMs;
        if (!World.RunUntil(World.NowMs + boundMs, () => ends.Keys.All(IsAhead)))
            throw ViolationException.Liveness(12, $"{boundMs} ms after a link was cut: {Describe(ends.Keys.First(id => !IsAhead(id)))}");

        World.Statistics.Count(Rule.CutLinkSurvived);
        Cluster.Network.CutBoth(one, other, false);
        Settle();

        // Nobody else has the records, so that nobody can go on without the one who does not answer.
        bool IsHalved(PartitionId id) =>
            Cluster.Database.Row(id).Replicas is { Length: 2 } replicas && replicas.Contains(one) && replicas.Contains(other);

        bool IsAhead(PartitionId id) => !Cluster.Partitions.Contains(id) || IsStuck(id) || Cluster.History(id).CommittedEnd > ends[id];
    }

    /// <summary>A member of the isr may still wait for the outcome of a swap, until when it follows nobody.</summary>
    private void AwaitCommits()
    {
        var ends = Cluster.Partitions.ToDictionary(id => id, id => Cluster.ServingLeader(id)?.Log?.LogEndOffset ?? 0);
        if (!World.RunUntil(World.NowMs + SettleMs, () => ends.Keys.All(IsCommitted)))
            throw ViolationException.Liveness(12, $"nothing is committed: {Describe(ends.Keys.First(id => !IsCommitted(id)))}");

        bool IsCommitted(PartitionId id) =>
            !Cluster.Partitions.Contains(id) || IsStuck(id) || Cluster.History(id).CommittedEnd >= ends[id];
    }

    /// <summary>Clients come to rest; then all replicas hold the same, and each acknowledged batch once.</summary>
    private void Finish()
    {
        IsWorking = false;
        if (!World.RunUntil(World.NowMs + SettleMs, () => Array.TrueForAll(_clients, client => client.IsIdle)))
            throw ViolationException.Liveness(13, "a client's operation does not end");

        World.RunUntil(World.NowMs + 3_000, () => false); // Every broker has read the membership.
        Settle();
        FinalCheck[] checks = [.. Cluster.Partitions.Where(id => !IsStuck(id)).Select(id => new FinalCheck(Cluster, id))];
        World.RunUntil(World.NowMs + SettleMs, () => Array.TrueForAll(checks, check => check.IsLevel));
        Array.ForEach(checks, check => check.Run());
    }

    private bool IsAllWhole() => Cluster.Brokers.All(Cluster.Membership.IsSettled) && Cluster.Partitions.TrueForAll(IsWhole);

    private bool IsStuck(PartitionId id) => !Cluster.HasSurvivor(id);

    private bool IsServed(PartitionId id) =>
        IsStuck(id) || (Cluster.ServingLeader(id) is { Log: { } log, View: { } view } && log.HighWatermark >= view.EpochStart);

    private bool IsWhole(PartitionId id)
    {
        PartitionState row = Cluster.Database.Row(id);
        return IsStuck(id)
            || (IsServed(id) && row.Elr.IsEmpty && row.Isr.Length == row.Replicas.Length
                && row.Isr.All(member => Cluster.LogOf(member.BrokerId, id) is { IsOpen: true } log && log.LogId == member.LogId));
    }

    private string Describe(PartitionId id) =>
        $"{Text.Of(Cluster.Database.Row(id))}, "
        + string.Join(", ", Cluster.Database.Row(id).Replicas.Select(broker =>
            $"broker {broker}: {Cluster.Brokers[broker].Process?.Replicas.GetValueOrDefault(id)?.View?.Role.ToString() ?? "down"} "
            + (Cluster.LogOf(broker, id) is { } log
                ? $"{log.LogStartOffset}-{log.DurableEndOffset} hw {log.HighWatermark} {log.LogId.ToString("N")[..4]}" : "no log")));
}
