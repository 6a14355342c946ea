using Arus.Testing;

namespace Arus.Model.Tests;

public class ByteBudgetTests
{
    [Fact]
    public Task Every_waiter_is_granted_and_no_bytes_are_lost() => Seeds.RunAsync(2, async seed =>
    {
        const int Total = 100;
        var budget = new ByteBudget(Total, TimeProvider.System);
        long taken = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            var random = new Random(seed + worker);
            for (int i = 0; i < 5_000; i++)
            {
                int bytes = random.Next(1, Total + 1);
                await budget.TakeAsync(bytes, TimeSpan.FromSeconds(30), CancellationToken.None);
                Assert.InRange(Interlocked.Add(ref taken, bytes), 1, Total);
                await Task.Yield();
                Interlocked.Add(ref taken, -bytes);
                budget.Release(bytes);
            }
        })));
        Assert.False(budget.HasWaiters);
        Assert.True(budget.TryTake(Total));
        Assert.False(budget.TryTake(1));
    });

    [Fact]
    public async Task Small_requests_do_not_overtake_a_large_one_that_waits()
    {
        var budget = new ByteBudget(10, TimeProvider.System);
        Assert.True(budget.TryTake(6));
        Task large = budget.TakeAsync(8);
        Assert.False(budget.TryTake(1));
        using var stop = new CancellationTokenSource();
        Task small = budget.TakeAsync(1, cancellationToken: stop.Token);
        Assert.False(small.IsCompleted);
        budget.Release(6);
        await Task.WhenAll(large, small).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(9, budget.Used);
        Task tooLong = budget.TakeAsync(2, cancellationToken: stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => tooLong);
        Assert.True(budget.TryTake(1));
    }

    [Fact]
    public async Task A_request_larger_than_the_budget_is_granted_alone()
    {
        var budget = new ByteBudget(10, TimeProvider.System);
        Assert.True(budget.TryTake(1));
        Assert.False(budget.TryTake(11));
        Task large = budget.TakeAsync(11);
        Assert.False(large.IsCompleted);
        budget.Release(1);
        await large.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(11, budget.Used);
        Task small = budget.TakeAsync(1);
        Assert.False(small.IsCompleted);
        budget.Release(11);
        await small.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(1, budget.Used);
    }

    [Fact]
    public async Task A_waiter_whose_time_is_up_leaves_the_queue_to_the_next()
    {
        var time = new ManualTimeProvider();
        var budget = new ByteBudget(10, time);
        Assert.True(budget.TryTake(5));
        Task large = budget.TakeAsync(8, TimeSpan.FromSeconds(1), CancellationToken.None);
        Task small = budget.TakeAsync(5);
        Assert.False(small.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAsync<TimeoutException>(() => large);
        await small.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.False(budget.HasWaiters);
        Assert.Equal(10, budget.Used);
    }
}
