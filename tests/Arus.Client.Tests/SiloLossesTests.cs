using Arus.Testing;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public sealed class SiloLossesTests
{
    private readonly ManualTimeProvider _time = new();
    private readonly SiloLosses _losses;

    public SiloLossesTests() => _losses = new SiloLosses(_time);

    [Fact]
    public async Task Calls_that_are_not_answered_soon_after_a_loss_are_given_up_and_those_that_are_get_their_answers()
    {
        var answered = new TaskCompletionSource<int>();
        CancellationToken given = default;
        Task<int> lost = CallAsync(token =>
        {
            given = token;
            return Never();
        });
        Task<int> late = CallAsync(_ => answered.Task);
        _losses.Report();
        Assert.False(lost.IsCompleted);
        answered.SetResult(7);
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => lost.WaitAsync(TestTimeout.Value));
        Assert.True(given.IsCancellationRequested);
        Assert.Equal(7, await late);
        Assert.True(GrainRetry.IsTransient(new SiloUnavailableException("lost")));
    }

    [Fact]
    public async Task What_a_gateway_passed_on_before_it_knew_of_the_loss_is_given_up_a_little_later()
    {
        Task<int> first = CallAsync(_ => Never());
        _losses.Report();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => first.WaitAsync(TestTimeout.Value));
        Task<int> repeated = CallAsync(_ => Never());
        _time.Advance(TimeSpan.FromMilliseconds(1200));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => repeated.WaitAsync(TestTimeout.Value));
        Task<int> after = CallAsync(_ => Never());
        _time.Advance(TimeSpan.FromSeconds(9));
        Assert.False(after.IsCompleted);
    }

    [Fact]
    public async Task Only_a_gateway_less_is_a_loss()
    {
        Task<int> call = CallAsync(_ => Never());
        _losses.NotifyGatewayCountChanged(3, 2, connectionRecovered: false);
        _losses.NotifyGatewayCountChanged(1, 0, connectionRecovered: true);
        Assert.Equal(1, _time.ArmedTimers);
        _losses.NotifyGatewayCountChanged(2, 3, connectionRecovered: false);
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => call.WaitAsync(TestTimeout.Value));
    }

    [Fact]
    public async Task A_limit_and_a_cancellation_are_told_from_a_loss()
    {
        Task<int> limited = CallAsync(_ => Never());
        _time.Advance(TimeSpan.FromSeconds(10));
        await Assert.ThrowsAsync<TimeoutException>(() => limited.WaitAsync(TestTimeout.Value));
        using var cancellation = new CancellationTokenSource();
        Task<int> cancelled = CallAsync(_ => Never(), cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WaitAsync(TestTimeout.Value));
        await Assert.ThrowsAsync<InvalidOperationException>(() => CallAsync(_ => throw new InvalidOperationException("a bug")));
    }

    private static Task<int> Never() => new TaskCompletionSource<int>().Task;

    private Task<int> CallAsync(Func<CancellationToken, Task<int>> call, CancellationToken cancellationToken = default) =>
        _losses.CallAsync(call, TimeSpan.FromSeconds(10), cancellationToken);
}
