using Arus.Testing;

namespace Arus.Grains.Tests;

public sealed class AsyncSignalTests
{
    [Fact]
    public void Signals_that_nobody_waits_for_count_as_one()
    {
        var signal = new AsyncSignal();
        signal.Set();
        signal.Set();
        Assert.True(signal.WaitAsync().IsCompleted);
        Assert.False(signal.WaitAsync().IsCompleted);
    }

    [Fact]
    public async Task A_signal_wakes_who_waits_and_is_used_up()
    {
        var signal = new AsyncSignal();
        ValueTask waiting = signal.WaitAsync();
        signal.Set();
        await waiting;
        Assert.False(signal.WaitAsync().IsCompleted);
    }

    [Fact]
    public async Task A_signal_wakes_all_who_wait_and_the_last_to_wake_uses_up_no_later_one()
    {
        var signal = new AsyncSignal();
        Task[] waiting = [signal.WaitAsync().AsTask(), signal.WaitAsync(Timeout.InfiniteTimeSpan, CancellationToken.None)];
        signal.Set();
        await Task.WhenAll(waiting).WaitAsync(TestTimeout.Value);
        signal.Set();
        Assert.True(signal.WaitAsync().IsCompleted);
        Assert.False(signal.WaitAsync().IsCompleted);
    }

    [Fact]
    public async Task A_signal_after_a_wait_that_ended_by_its_limit_is_kept_for_the_next()
    {
        var time = new ManualTimeProvider();
        var signal = new AsyncSignal(time);
        Task late = signal.WaitAsync(TimeSpan.FromSeconds(1), CancellationToken.None);
        time.Advance(TimeSpan.FromSeconds(1));
        await late;
        signal.Set();
        Assert.True(signal.WaitAsync().IsCompleted);
    }

    [Fact]
    public async Task A_wait_ends_at_its_limit_when_cancelled_and_when_signalled()
    {
        var time = new ManualTimeProvider();
        var signal = new AsyncSignal(time);
        Task late = signal.WaitAsync(TimeSpan.FromSeconds(1), CancellationToken.None);
        time.Advance(TimeSpan.FromSeconds(1));
        await late;
        using var cancelled = new CancellationTokenSource();
        Task ended = signal.WaitAsync(TimeSpan.FromSeconds(1), cancelled.Token);
        await cancelled.CancelAsync();
        await ended;
        Task woken = signal.WaitAsync(TimeSpan.FromSeconds(1), CancellationToken.None);
        signal.Set();
        await woken;
        Assert.Equal(0, time.ArmedTimers);
    }
}
