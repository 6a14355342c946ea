using System.Net;
using System.Threading.Channels;
using Arus.Grains;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;

namespace Arus.Client.Tests;

public sealed class SiloWatchTests : IAsyncLifetime
{
    private static readonly SiloAddress One = Silo(1, generation: 1);
    private static readonly SiloAddress Two = Silo(2, generation: 1);

    private readonly ManualTimeProvider _time = new();
    private readonly Channel<(long Known, TaskCompletionSource<SiloMembership> Answer)> _calls =
        Channel.CreateUnbounded<(long, TaskCompletionSource<SiloMembership>)>();
    private readonly SiloLosses _losses;
    private readonly SiloWatch _watch;
    private int _connections;

    public SiloWatchTests()
    {
        IMembershipGrain grain = Fake.Of<IMembershipGrain>((_, arguments) =>
        {
            var answer = new TaskCompletionSource<SiloMembership>(TaskCreationOptions.RunContinuationsAsynchronously);
            _calls.Writer.TryWrite(((long)arguments[0]!, answer));
            return answer.Task;
        });
        _losses = new SiloLosses(_time);
        _watch = new SiloWatch(
            Fake.Of<IGrainFactory>((_, _) => _connections++ > 0 ? grain : throw new InvalidOperationException("not connected")), _losses,
            new ArusClientOptions { RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero }, _time, NullLogger.Instance);
    }

    public Task InitializeAsync() => _watch.StartAsync(TestTimeout.Token);

    public async Task DisposeAsync()
    {
        await _watch.StopAsync(TestTimeout.Token);
        _watch.Dispose();
    }

    [Fact]
    public async Task A_silo_that_is_gone_or_has_started_anew_is_lost_and_a_new_one_is_none()
    {
        await AnswerAsync(-1, new SiloMembership(4, [One]));
        await AnswerAsync(4, new SiloMembership(5, [One, Two]));
        await AnswerAsync(5, new SiloMembership(6, [Two, One]));
        (long asked, TaskCompletionSource<SiloMembership> last) = await NextAsync();
        Assert.Equal(6, asked);
        Task<int> call = CallAsync();

        // The question and the call have their limits, and nothing is to be given up before.
        await _time.WaitForArmedTimersAsync(2);
        Assert.Equal(2, _time.ArmedTimers);
        last.SetResult(new SiloMembership(7, [One, Silo(2, generation: 2)]));
        await IsLostAsync(call);
    }

    [Fact]
    public async Task The_silo_that_tells_may_be_lost_itself_and_the_next_is_asked_from_what_is_known()
    {
        await AnswerAsync(-1, new SiloMembership(4, [One, Two]));
        (_, TaskCompletionSource<SiloMembership> failing) = await NextAsync();
        failing.SetException(new SiloUnavailableException("gone"));

        // These two are not answered at all.
        await NextAsync();
        _losses.Report();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await NextAsync();
        _time.Advance(TimeSpan.FromMilliseconds(1200));
        (long asked, TaskCompletionSource<SiloMembership> last) = await NextAsync();
        Assert.Equal(4, asked);
        Task<int> call = CallAsync();
        last.SetResult(new SiloMembership(5, [One]));
        await IsLostAsync(call);
    }

    private static SiloAddress Silo(byte host, int generation) => SiloAddress.New(new IPAddress([10, 0, 0, host]), 11111, generation);

    private static Task<int> Never() => new TaskCompletionSource<int>().Task;

    private Task<int> CallAsync() => _losses.CallAsync(_ => Never(), TimeSpan.FromMinutes(1), CancellationToken.None);

    private async Task<(long Known, TaskCompletionSource<SiloMembership> Answer)> NextAsync() =>
        await _calls.Reader.ReadAsync(TestTimeout.Token);

    private async Task AnswerAsync(long known, SiloMembership answer)
    {
        (long asked, TaskCompletionSource<SiloMembership> source) = await NextAsync();
        Assert.Equal(known, asked);
        source.SetResult(answer);
    }

    /// <summary>Moves the clock by as much as it takes to give up, which is less than the call's own limit.</summary>
    private async Task IsLostAsync(Task<int> call)
    {
        // The next question is asked when the answer has been looked at.
        await NextAsync();
        _time.Advance(TimeSpan.FromSeconds(2));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => call.WaitAsync(TestTimeout.Value));
    }
}
