using Microsoft.Extensions.Hosting;

namespace Arus.Server;

/// <summary>
/// Gives memory back to the operating system after a burst. A process that has become quiet allocates too little for the garbage collector
/// to run, so that what the burst left would stay for hours; and large buffers are collected in full collections only.
/// </summary>
internal sealed class MemoryReclaimer(TimeProvider time) : BackgroundService
{
    internal static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    /// <summary>Growth of the process below this is not worth a collection, in bytes.</summary>
    internal const long MinGrowth = 64L * 1024 * 1024;

    /// <summary>A process that allocates no more than this in a period, in bytes, is quiet: a pause disturbs nobody.</summary>
    internal const long MaxQuietAllocation = 16L * 1024 * 1024;

    /// <summary>Periods between collections while the process is not quiet.</summary>
    internal const int BusyPeriods = 3;

    private long _baseline = long.MaxValue;
    private long _allocatedBefore;
    private int _busyPeriods;

    /// <summary>What is to be done about the memory of the process.</summary>
    internal enum Decision
    {
        Nothing,

        /// <summary>A collection beside the program, with short pauses.</summary>
        CollectBeside,

        /// <summary>A collection that stops the program, moves what is in use together, and gives the rest back.</summary>
        CollectAndCompact,
    }

    /// <param name="workingSet">Of the process now, in bytes.</param>
    /// <param name="allocated">Bytes allocated since the process began.</param>
    internal Decision Decide(long workingSet, long allocated)
    {
        bool isQuiet = allocated - _allocatedBefore <= MaxQuietAllocation;
        _allocatedBefore = allocated;
        _baseline = Math.Min(_baseline, workingSet);
        if (workingSet - _baseline < MinGrowth)
        {
            _busyPeriods = 0;
            return Decision.Nothing;
        }

        if (isQuiet)
            return Decision.CollectAndCompact;

        _busyPeriods = (_busyPeriods + 1) % BusyPeriods;
        return _busyPeriods == 0 ? Decision.CollectBeside : Decision.Nothing;
    }

    /// <summary>The process is as small now as a collection makes it: what it grows from here counts.</summary>
    /// <param name="workingSet">In bytes.</param>
    internal void Collected(long workingSet) => (_baseline, _busyPeriods) = (workingSet, 0);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        using CancellationTokenRegistration stop = stoppingToken.UnsafeRegister(
            static timer => ((PeriodicTimer)timer!).Dispose(), timer);
        Collected(Environment.WorkingSet);
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            switch (Decide(Environment.WorkingSet, GC.GetTotalAllocatedBytes()))
            {
                case Decision.CollectBeside:
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
                    break;
                case Decision.CollectAndCompact:
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                    Collected(Environment.WorkingSet);
                    break;
                default:
                    break;
            }
        }
    }
}
