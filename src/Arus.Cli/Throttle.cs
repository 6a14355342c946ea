namespace Arus.Cli;

/// <summary>Spreads work evenly: so many permits a second, none saved up beyond a tenth of a second. One caller at a time.</summary>
internal sealed class Throttle(int perSecond, TimeProvider time)
{
    private static readonly TimeSpan Burst = TimeSpan.FromMilliseconds(100);

    private readonly TimeSpan _interval =
        perSecond > 0 ? TimeSpan.FromSeconds(1.0 / perSecond) : throw new ArgumentOutOfRangeException(nameof(perSecond));

    private readonly long _start = time.GetTimestamp();
    private TimeSpan _next;

    /// <summary>Completes when the next piece of work is due; how late that was is the caller's to measure.</summary>
    /// <returns>When it was due, since the throttle was made: latencies count from there, so that a stall shows in all it delays.</returns>
    public async ValueTask<TimeSpan> WaitAsync(CancellationToken cancellationToken)
    {
        TimeSpan now = time.GetElapsedTime(_start);
        if (_next < now - Burst)
            _next = now - Burst;

        TimeSpan due = _next;
        _next += _interval;
        if (due > now)
            await Task.Delay(due - now, time, cancellationToken);

        return due;
    }
}
