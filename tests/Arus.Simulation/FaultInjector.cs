using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>Makes faults of all kinds, overlapping, and ends each after a while.</summary>
internal sealed class FaultInjector(ClusterSimulation simulation)
{
    private readonly Cluster _cluster = simulation.Cluster;
    private readonly World _world = simulation.Cluster.World;
    private readonly List<Action> _running = [];

    public void Live()
    {
        _world.After(_world.Between(100, 2_000), Live);
        if (simulation.IsTroubled)
            Inject(_world.Pick(Enum.GetValues<Fault>()));
    }

    /// <summary>Ends every fault at once, and starts what is down.</summary>
    public void Heal()
    {
        foreach (Action heal in _running.ToArray())
            heal();

        _cluster.Database.DelaysGrowth = null;
        foreach (Broker broker in _cluster.Brokers)
        {
            broker.HealDisk();
            broker.Resume();
            broker.Start();
        }
    }

    public static void Restart(Broker broker, int delayMs) => broker.Cluster.World.After(delayMs, broker.Start);

    private void Inject(Fault fault)
    {
        Broker broker = _world.Pick(_cluster.Brokers);
        if (!TryInject(fault, broker))
            return;

        _world.Statistics.Count(fault);
        _world.Trace?.Invoke($"{_world.NowMs,7} fault: {fault} (broker {broker.Id}, if it is of one)");
    }

    private bool TryInject(Fault fault, Broker broker) => fault switch
    {
        Fault.ProcessCrash => Crash(broker, () => broker.Crash(powerLoss: false)),
        Fault.PowerLoss => MayLosePower(broker) && Crash(broker, () => broker.Crash(powerLoss: true)),
        Fault.DiskEmptied => simulation.MayEmptyDisk(broker) && Crash(broker, broker.EmptyDisk),
        Fault.ProcessCrashWithinWrite => CrashWithinWrite(broker, powerLoss: false),
        Fault.PowerLossWithinWrite => MayLosePower(broker) && CrashWithinWrite(broker, powerLoss: true),
        Fault.Pause => broker is { Process: not null, IsPaused: false } && For(300, 8_000, broker.Pause, () =>
        {
            if (broker.IsPaused)
                broker.Resume();
        }),
        Fault.GracefulStop => Stop(broker),
        Fault.WrongDeclaration => _cluster.Database.Members.ContainsKey(broker.Id) && Do(() => _cluster.Membership.Declare(broker.Id)),
        Fault.DeclarationUnheard => _cluster.Database.Members.ContainsKey(broker.Id) && DeclareUnheard(broker),
        Fault.OneWayCut => Cut(broker, oneWay: true),
        Fault.Partition => Cut(broker, oneWay: false),
        Fault.CallsLost => For(500, 5_000, () => _cluster.Network.Loss += 0.2, () => _cluster.Network.Loss -= 0.2),
        Fault.CallsDuplicated => For(500, 5_000, () => _cluster.Network.Duplication += 0.3, () => _cluster.Network.Duplication -= 0.3),
        Fault.CallsReordered => For(500, 5_000, () => _cluster.Network.ReorderMs += 300, () => _cluster.Network.ReorderMs -= 300),
        Fault.DatabaseAway => For(500, 8_000, () => _cluster.Database.Away++, () => _cluster.Database.Away--),
        Fault.DatabaseAnswersLost => For(500, 5_000, () => _cluster.Database.AnswerLoss += 0.5, () => _cluster.Database.AnswerLoss -= 0.5),
        Fault.DatabaseSwapsLate => For(500, 5_000, () => _cluster.Database.Lateness += 0.5, () => _cluster.Database.Lateness -= 0.5),
        Fault.DatabaseSlow => For(500, 5_000, () => _cluster.Database.SlowMs += 1_000, () => _cluster.Database.SlowMs -= 1_000),
        Fault.DatabaseUnreachable =>
            For(500, 8_000, () => _cluster.Database.CutOff(broker.Id, true), () => _cluster.Database.CutOff(broker.Id, false)),
        Fault.DiskSlow => For(500, 5_000, () => broker.DiskDelayMs = _world.Between(50, 1_500), () => broker.DiskDelayMs = 0),
        Fault.DiskFull => For(500, 5_000, () => broker.Disk.IsFull = true, () => broker.Disk.IsFull = false),
        Fault.DiskError => Do(() =>
            (broker.DiskFailsOnce, broker.FlushFailsOnce) = _world.Chance(0.5) ? (true, false) : (false, true)),
        Fault.LinkCut => CutLink(broker, _world.Pick(_cluster.Brokers), 3_000, 12_000),
        Fault.InSyncMembersCrash => CrashInSync(),
        Fault.GrowthLate => _cluster.Database is { DelaysGrowth: null, LateBroker: < 0 }
            && Do(() => _cluster.Database.DelaysGrowth = DelayGrowth),
        Fault.WallClockSet => Do(() => broker.WallOffsetMs = _world.Between(-SeedPlan.MaxWallOffsetMs, SeedPlan.MaxWallOffsetMs)),
        _ => throw new InvalidOperationException($"The simulation does not know {fault}."),
    };

    /// <summary>With flush=os the records of a broker that loses power are safe while others of the isr have them.</summary>
    private bool MayLosePower(Broker broker) =>
        _cluster.Plan.Flush == Storage.FlushPolicy.Always || simulation.MayEmptyDisk(broker);

    private static bool Do(Action action)
    {
        action();
        return true;
    }

    private bool Crash(Broker broker, Action crash)
    {
        if (broker.Process is null)
            return false;

        crash();
        Restart(broker, _world.Between(100, 6_000));
        return true;
    }

    private bool CrashWithinWrite(Broker broker, bool powerLoss)
    {
        if (broker.Process is null)
            return false;

        broker.CrashWithinWrite(powerLoss);
        _world.After(_world.Between(2_000, 6_000), broker.Start);
        return true;
    }

    /// <summary>
    /// The broker goes on leading for as long as its leases last, while others are elected; in half of the cases it reaches them all the
    /// time, and pushes records to those who stand in its place.
    /// </summary>
    private bool DeclareUnheard(Broker broker)
    {
        Broker[] others = _world.Chance(0.5) ? [.. _cluster.Brokers.Where(other => other != broker)] : [];
        For(2_500, 8_000, () => Isolate(true), () => Isolate(false));
        _cluster.Membership.Declare(broker.Id);
        return true;

        void Isolate(bool isCut)
        {
            _cluster.Database.CutOff(broker.Id, isCut);
            foreach (Broker other in others)
                _cluster.Network.CutBoth(broker.Id, other.Id, isCut);
        }
    }

    private bool Stop(Broker broker)
    {
        if (broker.Process is not { } process)
            return false;

        broker.Run(process, process.Stop);
        return true;
    }

    private bool Cut(Broker broker, bool oneWay)
    {
        var cuts = new List<(int From, int To)>();
        bool[] side = [.. _cluster.Brokers.Select(other => other == broker || (!oneWay && _world.Chance(0.3)))];
        int only = _world.Pick(_cluster.Brokers).Id;
        bool outward = _world.Chance(0.5);
        for (int i = 0; i < side.Length; i++)
        {
            for (int j = 0; j < side.Length; j++)
            {
                bool isCut = oneWay
                    ? outward ? i == broker.Id && j == only : j == broker.Id && i == only
                    : side[i] != side[j];
                if (isCut && i != j)
                    cuts.Add((i, j));
            }
        }

        return cuts.Count > 0 && For(
            500, 8_000, () => cuts.ForEach(cut => _cluster.Network.Cut(cut.From, cut.To, true)),
            () => cuts.ForEach(cut => _cluster.Network.Cut(cut.From, cut.To, false)));
    }

    /// <summary>Two brokers do not reach each other, while the others see both.</summary>
    private bool CutLink(Broker one, Broker other, int leastMs, int mostMs)
    {
        return one != other && For(leastMs, mostMs, () => Cut(true), () => Cut(false));

        void Cut(bool isCut) => _cluster.Network.CutBoth(one.Id, other.Id, isCut);
    }

    /// <summary>All who are in sync are down at once, while another replica is up; preferably where one may be elected uncleanly.</summary>
    private bool CrashInSync()
    {
        PartitionId[] ids = [.. _cluster.Partitions.Where(id => MayCrashInSync(_cluster.Database.Row(id)))];
        PartitionId[] unclean = Array.FindAll(ids, id => _cluster.History(id).Topic.AllowsUnclean);
        if (ids.Length == 0)
            return false;

        PartitionState row = _cluster.Database.Row(_world.Pick(unclean.Length > 0 ? unclean : ids));
        int downMs = _world.Between(6_000, 12_000);
        foreach (int member in InSync(row))
        {
            _cluster.Brokers[member].Crash(powerLoss: false);
            Restart(_cluster.Brokers[member], downMs);
        }

        return true;
    }

    private bool MayCrashInSync(PartitionState row) =>
        row.LeaderEpoch >= 0 && row.Replicas.Any(broker => !InSync(row).Contains(broker) && _cluster.Brokers[broker].Process is not null);

    private static HashSet<int> InSync(PartitionState row) => [.. row.Isr.Concat(row.Elr).Select(member => member.BrokerId)];

    /// <summary>Scenario 6: the swap that adds a member times out, its link to the leader is cut, and the swap takes effect then.</summary>
    private void DelayGrowth(int leader, int member)
    {
        _cluster.Database.LateBroker = leader;
        _world.After(_cluster.Plan.DatabaseTimeoutMs, () =>
        {
            if (simulation.IsTroubled)
                CutLink(_cluster.Brokers[leader], _cluster.Brokers[member], 12_000, 16_000);
        });
        For(10_000, 14_000, () => { }, () => _cluster.Database.LateBroker = -1);
    }

    private bool For(int leastMs, int mostMs, Action begin, Action end)
    {
        begin();
        bool done = false;
        _running.Add(Heal);
        _world.After(_world.Between(leastMs, mostMs), Heal);
        return true;

        void Heal()
        {
            if (done)
                return;

            done = true;
            _running.Remove(Heal);
            end();
        }
    }
}
