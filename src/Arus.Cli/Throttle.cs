namespace Arus.Cli;

/// <summary>Spreads work evenly: so many permits a second, none saved up beyond a tenth of a second. One caller at a time.</summary>
internal sealed class Throttle
{
    private static readonly TimeSpan Burst = TimeSpan.FromMilliseconds(100);

    private readonly TimeProvider _time;
    private readonly TimeSpan _interval;
    private readonly long _start;
    private TimeSpan _next;

    public Throttle(int perSecond, TimeProvider time)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(perSecond);
        _time = time;
        _interval = TimeSpan.FromSeconds(1.0 / perSecond);
        _start = time.GetTimestamp();
    }

    /// <summary>Completes when the next piece of work is due; how late that was is the caller's to measure.</summary>
    /// <returns>When it was due, since the throttle was made: latencies count from there, so that a stall shows in all it delays.</returns>
    public async ValueTask<TimeSpan> WaitAsync(CancellationToken cancellationToken)
    {
        TimeSpan now = _time.GetElapsedTime(_start);
        if (_next < now - Burst)
            _next = now - Burst;

        TimeSpan due = _next;
        _next += _interval;
        if (due > now)
            await Task.Delay(due - now, _time, cancellationToken);

        return due;
    }
}
