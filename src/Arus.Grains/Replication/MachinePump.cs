using System.Collections.Concurrent;
using Arus.Coordination.Replication;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Runs the machine: inputs from any thread wait in a queue, one thread at a time gives them to the machine and then hands its effects on,
/// in their order. So inputs that come together cost one step, and no lock is held while anything is called.
/// </summary>
internal sealed partial class MachinePump : IThreadPoolWorkItem, IDisposable
{
    private const int MaxInputsInStep = 1_024;

    private readonly ReplicationMachine _machine;
    private readonly TimeProvider _time;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<Action<ReplicationMachine, long>> _inputs = new();
    private readonly ITimer _timer;
    private readonly long _origin;
    private int _isRunning;
    private long _armedMs = long.MaxValue;
    private volatile bool _isStopped;

    public MachinePump(
        ReplicationMachine machine, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<MachinePump> logger)
    {
        (_machine, _time, _lifetime, _logger) = (machine, time, lifetime, logger);
        _origin = time.GetTimestamp();
        _timer = time.CreateTimer(
            static pump => ((MachinePump)pump!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Carries out effects; set before the first input.</summary>
    public Action<ReplicationEffect> Effects { get; set; } = _ => { };

    /// <summary>What other brokers promised this one.</summary>
    public LeaseTable Leases => _machine.Leases;

    /// <summary>Milliseconds since this was made, on a clock that nobody sets.</summary>
    public long NowMs => (long)_time.GetElapsedTime(_origin).TotalMilliseconds;

    /// <summary>Gives the machine an input soon.</summary>
    public void Post(Action<ReplicationMachine, long> input)
    {
        _inputs.Enqueue(input);
        Schedule();
    }

    /// <summary>No input reaches the machine any more.</summary>
    public void Stop() => _isStopped = true;

    public void Dispose()
    {
        Stop();
        _timer.Dispose();
    }

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            Step();
        }
        catch (Exception e)
        {
            // What the machine knows may be wrong from here on; what is durable is not. A new start reads that.
            _isStopped = true;
            LogBroken(e);
            _lifetime.StopApplication();
        }

        Volatile.Write(ref _isRunning, 0);
        if (!_inputs.IsEmpty)
            Schedule();
    }

    private void Step()
    {
        if (_isStopped)
        {
            _inputs.Clear();
            return;
        }

        // The time of each input is that at which it is taken: a lease that counts from the time of an earlier one would end too soon.
        for (int i = 0; i < MaxInputsInStep && _inputs.TryDequeue(out Action<ReplicationMachine, long>? input); i++)
            input(_machine, NowMs);

        (IReadOnlyList<ReplicationEffect> effects, long deadlineMs) = _machine.TakeEffects();
        foreach (ReplicationEffect effect in effects)
            Effects(effect);

        Arm(deadlineMs, NowMs);
    }

    private void Arm(long deadlineMs, long now)
    {
        // A timer that comes early does no harm, and is cheaper than one that is set at each step.
        if (deadlineMs >= _armedMs && _armedMs > now)
            return;

        _armedMs = deadlineMs;
        if (deadlineMs != long.MaxValue)
            _timer.Change(TimeSpan.FromMilliseconds(Math.Clamp(deadlineMs - now, 1, int.MaxValue)), Timeout.InfiniteTimeSpan);
    }

    private void Tick() => Post(static (machine, now) => machine.Advance(now));

    private void Schedule()
    {
        if (Interlocked.Exchange(ref _isRunning, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "Replication cannot go on; this broker stops")]
    private partial void LogBroken(Exception exception);
}
