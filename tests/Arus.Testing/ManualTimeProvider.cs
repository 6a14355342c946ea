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
            {
                return _armed.Count;
            }
        }
    }

    /// <summary>Moves the clock to the next timer's due time and fires it; false when none is armed.</summary>
    public bool AdvanceToNextTimer()
    {
        DateTimeOffset due;
        lock (_gate)
        {
            if (_armed.Count == 0)
            {
                return false;
            }

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
            {
                return Task.CompletedTask;
            }

            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((count, source));
            return source.Task.WaitAsync(TestTimeout.Value);
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new TrackedTimer(this, callback, state);
        timer.Inner = base.CreateTimer(_ => timer.Fire(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        timer.Change(dueTime, period);
        return timer;
    }

    private void Track(TrackedTimer timer, DateTimeOffset? due)
    {
        lock (_gate)
        {
            _armed.Remove(timer);
            if (due is null)
            {
                return;
            }

            timer.Due = due.Value;
            _armed.Add(timer);
            foreach ((int count, TaskCompletionSource source) in _waiters)
            {
                if (_armed.Count >= count)
                {
                    source.TrySetResult();
                }
            }

            _waiters.RemoveAll(waiter => waiter.Source.Task.IsCompleted);
        }
    }

    /// <summary>What fires once is armed no longer, unless another thread armed it anew in the meantime.</summary>
    private void TrackFiring(TrackedTimer timer, TimeSpan period)
    {
        lock (_gate)
        {
            if (period > TimeSpan.Zero)
            {
                timer.Due += period;
            }
            else if (timer.Due <= GetUtcNow())
            {
                _armed.Remove(timer);
            }
        }
    }

    private sealed class TrackedTimer(ManualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period;

        public ITimer Inner { get; set; } = null!;

        public DateTimeOffset Due { get; set; }

        public void Fire()
        {
            clock.TrackFiring(this, _period);
            callback(state);
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _period = period;
            clock.Track(this, dueTime == Timeout.InfiniteTimeSpan ? null : clock.GetUtcNow() + dueTime);
            return Inner.Change(dueTime, period);
        }

        public void Dispose()
        {
            clock.Track(this, due: null);
            Inner.Dispose();
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
