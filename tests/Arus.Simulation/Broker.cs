using Arus.Coordination.Replication;
using Arus.Storage;
using Arus.Testing;

namespace Arus.Simulation;

/// <summary>A machine of the cluster: its disk and its clock outlive the processes that run on it one after the other.</summary>
internal sealed class Broker
{
    /// <summary>Instead of a number of writes that still succeed.</summary>
    private const int NotArmed = -1;

    /// <summary>The write that was to be the last has come; all fail from here on.</summary>
    private const int Dying = -2;

    private readonly Queue<(BrokerProcess Process, Action Action)> _deferred = [];
    private readonly HashSet<SimulatedLog> _lost = [];
    private readonly long _clockOffset;

    /// <summary>How much of a second goes by here in a second of the simulation, in thousandths.</summary>
    private readonly int _clockRate;
    private int _ioUntilCrash = NotArmed;
    private bool _powerLossWithinWrite;

    public Broker(Cluster cluster, int id)
    {
        Cluster = cluster;
        Id = id;
        Disk = NewDisk(new FaultyFileSystem());
        BootId = cluster.World.NewId();
        _clockOffset = cluster.World.Between(0, 1_000_000);
        _clockRate = cluster.World.Between(1_000 - SeedPlan.MaxClockDrift, 1_000 + SeedPlan.MaxClockDrift);
    }

    public Cluster Cluster { get; }

    public int Id { get; }

    public FaultyFileSystem Disk { get; private set; }

    /// <summary>Another after each loss of power, as the operating system's.</summary>
    public Guid BootId { get; private set; }

    /// <summary>Whether a log had records that only the operating system knew when the power went, or went with the disk.</summary>
    public bool IsLost(SimulatedLog log) => _lost.Contains(log);

    /// <summary>Monotonic, no other broker's, and neither as fast.</summary>
    public long LocalNowMs => _clockOffset + (Cluster.World.NowMs * _clockRate / 1_000);

    /// <summary>By how much the clock on the wall is wrong: that one may be set.</summary>
    public long WallOffsetMs { get; set; }

    /// <summary>Null while the broker is down.</summary>
    public BrokerProcess? Process { get; private set; }

    public bool IsPaused { get; private set; }

    public int DiskDelayMs { get; set; }

    /// <summary>The next write or flush fails.</summary>
    public bool DiskFailsOnce { get; set; }

    /// <summary>The next flush fails, and what it was to write never reaches the disk, though readers see it.</summary>
    public bool FlushFailsOnce { get; set; }

    /// <summary>The last log of each partition that was open here.</summary>
    public Dictionary<PartitionId, SimulatedLog> Logs { get; } = [];

    /// <summary>For the bug of a log id that is not renewed.</summary>
    public Dictionary<PartitionId, Guid> KeptLogIds { get; } = [];

    /// <summary>Up to which epoch each log is fenced, durably, and which log that was.</summary>
    public Dictionary<PartitionId, (Guid LogId, int Epoch)> Fences { get; } = [];

    /// <summary>How long it takes until a local time has come.</summary>
    public long ToWorldDelay(long localDeadlineMs)
    {
        if (localDeadlineMs <= LocalNowMs)
            return 0;

        return (((localDeadlineMs - _clockOffset) * 1_000) + _clockRate - 1) / _clockRate - Cluster.World.NowMs;
    }

    public void Start()
    {
        if (Process is not null)
            return;

        Process = new BrokerProcess(this);
        Process.Start();
    }

    /// <summary>Runs something of a process: never when that is gone, and later when it is paused.</summary>
    public void Run(BrokerProcess process, Action action)
    {
        if (process.IsGone)
            return;

        if (IsPaused)
        {
            _deferred.Enqueue((process, action));
            return;
        }

        action();
        if (_ioUntilCrash == Dying && Process == process)
        {
            _ioUntilCrash = NotArmed;
            Crash(_powerLossWithinWrite);
        }
    }

    /// <summary>As <see cref="Run"/>, in the process of that life alone: messages are addressed to a life.</summary>
    public void RunLife(long life, Action<BrokerProcess> action)
    {
        if (Process is { } process && process.Life == life)
            Run(process, () => action(process));
    }

    public void Pause() => IsPaused = true;

    public void Resume()
    {
        IsPaused = false;
        while (!IsPaused && _deferred.TryDequeue(out (BrokerProcess Process, Action Action) next))
            Run(next.Process, next.Action);
    }

    /// <summary>The process dies; with the power, so does what the disk had not synced.</summary>
    public void Crash(bool powerLoss)
    {
        Cluster.World.Trace?.Invoke($"{Cluster.World.NowMs,7} broker {Id} {(powerLoss ? "loses power" : "crashes")}");
        Process?.Die();
        Process = null;
        _ioUntilCrash = NotArmed;
        IsPaused = false;
        _deferred.Clear();
        if (powerLoss)
        {
            if (Cluster.Plan.Flush.Mode != FlushMode.Always)
                _lost.UnionWith(Logs.Values.Where(log => !log.IsCleanlyClosed));

            Disk = NewDisk(Disk.Crash(Cluster.World.Random));
            Cluster.World.Statistics.Count(Rule.WriteLost, Disk.LostWrites);
            Cluster.World.Statistics.Count(Rule.WriteTorn, Disk.TornWrites);
            BootId = Cluster.World.NewId();
        }
    }

    /// <summary>The process ends by itself.</summary>
    public void Ended()
    {
        Process = null;
        _ioUntilCrash = NotArmed;
        _deferred.Clear();
    }

    public void EmptyDisk()
    {
        Crash(powerLoss: true);
        _lost.UnionWith(Logs.Values);
        Disk = NewDisk(new FaultyFileSystem());
    }

    /// <summary>The process, or the power, goes within one of the next writes and flushes.</summary>
    public void CrashWithinWrite(bool powerLoss) => (_ioUntilCrash, _powerLossWithinWrite) = (Cluster.World.Between(0, 12), powerLoss);

    public void HealDisk()
    {
        _ioUntilCrash = Math.Min(_ioUntilCrash, NotArmed);
        (DiskFailsOnce, FlushFailsOnce, DiskDelayMs, Disk.IsFull) = (false, false, 0, false);
    }

    private FaultyFileSystem NewDisk(FaultyFileSystem disk)
    {
        disk.FailIo = _ => FailsIo();
        disk.FailFlush = _ =>
        {
            bool fails = FlushFailsOnce;
            FlushFailsOnce = false;
            return fails;
        };
        return disk;
    }

    private bool FailsIo()
    {
        if (_ioUntilCrash == Dying)
            return true;

        if (_ioUntilCrash >= 0 && _ioUntilCrash-- == 0)
        {
            _ioUntilCrash = Dying;
            return true;
        }

        bool fails = DiskFailsOnce;
        DiskFailsOnce = false;
        return fails;
    }
}
