namespace Arus.Simulation;

/// <summary>The time of one log by its broker's clocks, and its timers; what they queue is run at once.</summary>
internal sealed class LogClock(SimulatedLog log, Broker broker) : TimeProvider
{
    private static readonly DateTimeOffset Start = new(2025, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly World _world = broker.Cluster.World;

    public override long TimestampFrequency => 1_000;

    public override DateTimeOffset GetUtcNow() => Start.AddMilliseconds(_world.NowMs + broker.WallOffsetMs);

    public override long GetTimestamp() => broker.LocalNowMs;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new LogTimer(log, broker, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class LogTimer(SimulatedLog log, Broker broker, Action callback) : ITimer
    {
        private int _arming;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Arm(dueTime, period, ++_arming);
            return true;
        }

        public void Dispose() => _arming++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Arm(TimeSpan dueTime, TimeSpan period, int arming)
        {
            if (dueTime == Timeout.InfiniteTimeSpan)
                return;

            broker.Cluster.World.After((long)dueTime.TotalMilliseconds, () =>
            {
                if (arming != _arming || !log.IsOpen)
                    return;

                if (!broker.IsPaused)
                    log.RunTimer(callback);

                Arm(period > TimeSpan.Zero ? period : Timeout.InfiniteTimeSpan, period, arming);
            });
        }
    }
}
