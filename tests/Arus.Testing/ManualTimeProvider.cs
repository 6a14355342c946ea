namespace Arus.Testing;

/// <summary>
/// A clock that stands still until a test moves it. Timers fire inside <see cref="Advance"/>, on the thread that calls it, in order
/// of their due time, and of their creation where due times are equal; while one fires, the clock shows its due time.
/// </summary>
/// <remarks>
/// Thread-safe: other threads may read the clock and arm timers while one thread advances. A continuation of
/// <c>Task.Delay(…, timeProvider)</c> may run on another thread; await what it does, do not assume that it ran before Advance returned.
/// </remarks>
public sealed class ManualTimeProvider : TimeProvider
{
    private readonly Lock gate = new();
    private readonly List<ManualTimer> armed = [];
    private readonly List<(Func<int, bool> Condition, TaskCompletionSource Source)> waiters = [];
    private readonly DateTimeOffset start;
    private long elapsedTicks;
    private long nextTimerId;

    public ManualTimeProvider() : this(new DateTimeOffset(2025, 1, 1, 0, 0, 0, TimeSpan.Zero))
    {
    }

    public ManualTimeProvider(DateTimeOffset start) => this.start = start;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>How far the clock was moved since the start.</summary>
    public TimeSpan Elapsed => new(Interlocked.Read(ref elapsedTicks));

    /// <summary>How many timers wait to fire.</summary>
    public int ArmedTimers
    {
        get
        {
            lock (gate)
            {
                return armed.Count;
            }
        }
    }

    public override DateTimeOffset GetUtcNow() => start + Elapsed;

    public override long GetTimestamp() => Interlocked.Read(ref elapsedTicks);

    /// <summary>Moves the clock and fires what falls due on the way, including what is armed meanwhile.</summary>
    public void Advance(TimeSpan by)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(by, TimeSpan.Zero);
        long target = Interlocked.Read(ref elapsedTicks) + by.Ticks;
        while (TakeDue(target) is { } timer)
        {
            timer.Fire();
        }
    }

    /// <summary>Moves the clock to the next timer's due time and fires it; false when none is armed.</summary>
    public bool AdvanceToNextTimer()
    {
        long due;
        lock (gate)
        {
            if (armed.Count == 0)
            {
                return false;
            }

            due = armed.Min(timer => timer.DueTicks);
        }

        Advance(TimeSpan.FromTicks(Math.Max(0, due - Interlocked.Read(ref elapsedTicks))));
        return true;
    }

    /// <summary>Completes when at least <paramref name="count"/> timers are armed: the way to know that code under test waits.</summary>
    public Task WaitForArmedTimersAsync(int count)
    {
        lock (gate)
        {
            if (armed.Count >= count)
            {
                return Task.CompletedTask;
            }

            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            waiters.Add((n => n >= count, source));
            return source.Task;
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new ManualTimer(this, callback, state, Interlocked.Increment(ref nextTimerId));
        timer.Change(dueTime, period);
        return timer;
    }

    private ManualTimer? TakeDue(long target)
    {
        lock (gate)
        {
            ManualTimer? next = null;
            foreach (ManualTimer timer in armed)
            {
                if (timer.DueTicks <= target
                    && (next is null || timer.DueTicks < next.DueTicks || (timer.DueTicks == next.DueTicks && timer.Id < next.Id)))
                {
                    next = timer;
                }
            }

            // Only forwards: a timer that was armed with a due time already past fires now, not then.
            long now = Math.Max(Interlocked.Read(ref elapsedTicks), next?.DueTicks ?? target);
            Interlocked.Exchange(ref elapsedTicks, now);
            if (next is not null && !next.RescheduleAfterFiring(now))
            {
                armed.Remove(next);
            }

            return next;
        }
    }

    private bool Arm(ManualTimer timer, TimeSpan dueTime, TimeSpan period)
    {
        lock (gate)
        {
            armed.Remove(timer);
            if (timer.IsDisposed)
            {
                return false;
            }

            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                timer.DueTicks = Interlocked.Read(ref elapsedTicks) + Math.Max(0, dueTime.Ticks);
                timer.Period = period;
                armed.Add(timer);
                for (int i = waiters.Count - 1; i >= 0; i--)
                {
                    if (waiters[i].Condition(armed.Count))
                    {
                        waiters[i].Source.SetResult();
                        waiters.RemoveAt(i);
                    }
                }
            }

            return true;
        }
    }

    private void Disarm(ManualTimer timer)
    {
        lock (gate)
        {
            timer.IsDisposed = true;
            armed.Remove(timer);
        }
    }

    private sealed class ManualTimer(ManualTimeProvider clock, TimerCallback callback, object? state, long id) : ITimer
    {
        public long Id { get; } = id;

        public long DueTicks { get; set; }

        public TimeSpan Period { get; set; }

        public bool IsDisposed { get; set; }

        public bool RescheduleAfterFiring(long now)
        {
            if (Period <= TimeSpan.Zero)
            {
                return false;
            }

            DueTicks = now + Period.Ticks;
            return true;
        }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period) => clock.Arm(this, dueTime, period);

        public void Dispose() => clock.Disarm(this);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
