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

    private bool Stop(Broker broker)
    {
        if (broker.Process is not { } process)
            return false;

        broker.Run(process, process.Stop);
        Restart(broker, _world.Between(9_000, 12_000));
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
