using Microsoft.Extensions.Time.Testing;

namespace Arus.Testing;

/// <summary>
/// A clock that stands still until a test moves it, and that tells which timers are armed: the way to know that code under test waits.
/// </summary>
/// <remarks>
/// Thread-safe: other threads may read the clock and arm timers while one thread advances. A continuation of
/// <c>Task.Delay(…, timeProvider)</c> may run on another thread; await what it does, do not assume that it ran before Advance returned.
/// </remarks>
public sealed class ManualTimeProvider() : FakeTimeProvider(new DateTimeOffset(2025, 1, 1, 0, 0, 0, TimeSpan.Zero))
{
    private readonly Lock _gate = new();
    private readonly HashSet<TrackedTimer> _armed = [];
    private readonly List<(int Count, TaskCompletionSource Source)> _waiters = [];

    /// <summary>How far the clock was moved since the start.</summary>
    public TimeSpan Elapsed => GetUtcNow() - Start;

    /// <summary>How many timers wait to fire.</summary>
    public int ArmedTimers
    {
        get
        {
            lock (_gate)
                return _armed.Count;
        }
    }

    /// <summary>Moves the clock to the next timer's due time and fires it; false when none is armed.</summary>
    public bool AdvanceToNextTimer()
    {
        DateTimeOffset due;
        lock (_gate)
        {
            if (_armed.Count == 0)
                return false;

            due = _armed.Min(timer => timer.Due);
        }

        TimeSpan wait = due - GetUtcNow();
        Advance(wait > TimeSpan.Zero ? wait : TimeSpan.Zero);
        return true;
    }

    /// <summary>Completes when at least <paramref name="count"/> timers are armed.</summary>
    /// <exception cref="TimeoutException">They were not within <see cref="TestTimeout.Value"/>.</exception>
    public Task WaitForArmedTimersAsync(int count)
    {
        lock (_gate)
        {
            if (_armed.Count >= count)
                return Task.CompletedTask;

            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((count, source));
            return source.Task.WaitAsync(TestTimeout.Value);
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new TrackedTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Whatever was armed is armed no longer, as seen by those who wait.</summary>
    /// <returns>The arming that begins now.</returns>
    private long Disarm(TrackedTimer timer)
    {
        lock (_gate)
        {
            _armed.Remove(timer);
            return ++timer.Arming;
        }
    }

    /// <summary>
    /// Shows a timer as armed, once it really is: a test that sees it earlier moves the clock before the timer is set, which then is due
    /// that much later. A move in between makes <see cref="TrackedTimer.Due"/> late, never early, so that a move to it fires the timer.
    /// </summary>
    private void Show(TrackedTimer timer, long arming, TimeSpan dueTime)
    {
        lock (_gate)
        {
            if (timer.Arming != arming)
            {
                return; // It has fired, or another thread has changed it.
            }

            timer.Due = GetUtcNow() + dueTime;
            _armed.Add(timer);
            foreach ((int count, TaskCompletionSource source) in _waiters)
            {
                if (_armed.Count >= count)
                    source.TrySetResult();
            }

            _waiters.RemoveAll(waiter => waiter.Source.Task.IsCompleted);
        }
    }

    /// <summary>What fires once is armed no longer, unless it was armed anew in the meantime.</summary>
    private void TrackFiring(TrackedTimer timer, long arming, TimeSpan period)
    {
        lock (_gate)
        {
            if (timer.Arming != arming)
                return;

            if (period > TimeSpan.Zero)
                timer.Due += period;
            else
                Disarm(timer);
        }
    }

    private ITimer CreateInner(TimerCallback callback, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(callback, null, dueTime, period);

    private sealed class TrackedTimer(ManualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        private ITimer? _inner;

        /// <summary>Counts how often it was armed or disarmed, so that a firing says of which arming it is.</summary>
        public long Arming { get; set; }

        public DateTimeOffset Due { get; set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            long arming = clock.Disarm(this);
            ITimer? next = dueTime == Timeout.InfiniteTimeSpan ? null : clock.CreateInner(
                _ =>
                {
                    clock.TrackFiring(this, arming, period);
                    callback(state);
                },
                dueTime, period);
            Interlocked.Exchange(ref _inner, next)?.Dispose();
            if (next is not null)
                clock.Show(this, arming, dueTime);

            return true;
        }

        public void Dispose() => Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
