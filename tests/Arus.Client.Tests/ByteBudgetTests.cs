namespace Arus.Client.Tests;

public class ByteBudgetTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Whoever_waits_gets_its_turn_and_nothing_is_lost(int seed)
    {
        const int Total = 100;
        var budget = new ByteBudget(Total, TimeProvider.System);
        long taken = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            var random = new Random((seed * 10) + worker);
            for (int i = 0; i < 5_000; i++)
            {
                int bytes = random.Next(1, Total + 1);
                if (!budget.TryTake(bytes))
                {
                    await budget.TakeAsync(bytes, Timeout.InfiniteTimeSpan, CancellationToken.None);
                }

                Assert.InRange(Interlocked.Add(ref taken, bytes), 1, Total);
                await Task.Yield();
                Interlocked.Add(ref taken, -bytes);
                budget.Release(bytes);
            }
        })));
        Assert.False(budget.HasWaiters);
        Assert.True(budget.TryTake(Total));
        Assert.False(budget.TryTake(1));
    }

    [Fact]
    public async Task Small_ones_do_not_overtake_a_large_one_that_waits()
    {
        var budget = new ByteBudget(10, TimeProvider.System);
        Assert.True(budget.TryTake(6));
        Task large = budget.TakeAsync(8, Timeout.InfiniteTimeSpan, CancellationToken.None);
        Assert.False(budget.TryTake(1));
        using var stop = new CancellationTokenSource();
        Task small = budget.TakeAsync(1, Timeout.InfiniteTimeSpan, stop.Token);
        Assert.False(small.IsCompleted);
        budget.Release(6);
        await large;
        await small;
        Task tooLong = budget.TakeAsync(2, Timeout.InfiniteTimeSpan, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => tooLong);
        Assert.True(budget.TryTake(1));
    }
}
