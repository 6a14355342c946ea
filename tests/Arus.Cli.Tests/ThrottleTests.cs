using Arus.Testing;

namespace Arus.Cli.Tests;

public sealed class ThrottleTests
{
    [Fact]
    public async Task Work_is_due_at_even_distances()
    {
        var time = new ManualTimeProvider();
        var throttle = new Throttle(10, time);
        Assert.Equal(TimeSpan.Zero, await throttle.WaitAsync(TestTimeout.Token));
        ValueTask<TimeSpan> second = throttle.WaitAsync(TestTimeout.Token);
        Assert.False(second.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal(TimeSpan.FromMilliseconds(100), await second);
    }

    [Fact]
    public async Task A_long_stall_is_not_made_up_for_with_a_burst()
    {
        var time = new ManualTimeProvider();
        var throttle = new Throttle(1_000, time);
        time.Advance(TimeSpan.FromSeconds(60));
        int atOnce = 0;
        ValueTask<TimeSpan> next = throttle.WaitAsync(TestTimeout.Token);
        while (next.IsCompleted)
        {
            atOnce++;
            await next;
            next = throttle.WaitAsync(TestTimeout.Token);
        }

        Assert.Equal(101, atOnce);
        time.Advance(TimeSpan.FromSeconds(1));
        await next;
    }
}
