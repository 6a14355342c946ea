using System.Threading.Channels;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class SharedRunTests
{
    [Fact]
    public async Task Those_who_ask_during_a_run_share_the_next_one_and_one_that_fails_fails_only_its_own_callers()
    {
        var begun = Channel.CreateUnbounded<TaskCompletionSource<int>>();
        var shared = new SharedRun<int>(() =>
        {
            var answer = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
            begun.Writer.TryWrite(answer);
            return answer.Task;
        });
        Task<int> first = shared.AskAsync();
        TaskCompletionSource<int> one = await begun.Reader.ReadAsync(TestTimeout.Token);
        Task<int>[] during = [.. Enumerable.Range(0, 50).Select(_ => shared.AskAsync())];
        Assert.False(begun.Reader.TryRead(out _), "Only one runs at a time.");

        one.SetException(new TimeoutException());
        await Assert.ThrowsAsync<TimeoutException>(() => first);
        TaskCompletionSource<int> two = await begun.Reader.ReadAsync(TestTimeout.Token);
        Task<int> later = shared.AskAsync();
        two.SetResult(2);
        Assert.All(await Task.WhenAll(during).WaitAsync(TestTimeout.Value), answer => Assert.Equal(2, answer));
        (await begun.Reader.ReadAsync(TestTimeout.Token)).SetResult(3);
        Assert.Equal(3, await later.WaitAsync(TestTimeout.Value));

        Task<int> alone = shared.AskAsync();
        (await begun.Reader.ReadAsync(TestTimeout.Token)).SetResult(4);
        Assert.Equal(4, await alone.WaitAsync(TestTimeout.Value));
        Assert.False(begun.Reader.TryRead(out _));
    }
}
