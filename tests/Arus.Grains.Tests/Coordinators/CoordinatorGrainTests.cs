using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Orleans.TestingHost;

namespace Arus.Grains.Tests.Coordinators;

/// <summary>The duties of a host (<see cref="Coordination.IStateMachine{TRecords}"/>), one by one, with a machine that counts.</summary>
public sealed class CoordinatorGrainTests(CoordinatorGrainTests.OneSilo silo) : IClassFixture<CoordinatorGrainTests.OneSilo>
{
    private const int AnHourMs = 3_600_000;

    private readonly ICounterGrain _counter = silo.Grains.GetGrain<ICounterGrain>(Guid.NewGuid().ToString("N"));

    private CounterRow Row => silo.Rows.Of(_counter.GetPrimaryKeyString());

    [Fact]
    public async Task What_is_stored_is_loaded_and_claimed_once_before_the_first_input()
    {
        Row.StoreElsewhere(40);
        (Task reached, Action release) = Row.Hold("claim");
        Task<int>[] adds = [_counter.AddAsync(1), _counter.AddAsync(1)];
        await reached;
        Assert.Equal(["loaded 40"], Row.Journal());
        release();

        Assert.Equal([41, 42], (await WithinLimit(Task.WhenAll(adds))).Order());
        Assert.Equal(["loaded 40", "claimed 40", "add 1"], Row.Journal()[..3]);
        Assert.Single(Row.Journal("claimed"));
    }

    [Fact]
    public async Task A_reply_is_given_after_its_records_were_stored()
    {
        (Task reached, Action release) = Row.Hold("write");
        Task<int> add = _counter.AddAsync(1);
        await reached;

        // Other inputs are taken meanwhile.
        Assert.Equal(1, await WithinLimit(_counter.WaitAsync(0, claim: true)));
        Assert.False(add.IsCompleted);
        release();
        Assert.Equal(1, await WithinLimit(add));
        Assert.Equal(["loaded 0", "add 1", "write 1", "wait", "stored 1", "answer 1"], Row.Journal());
    }

    [Fact]
    public async Task One_write_is_under_way_and_what_changes_meanwhile_goes_with_the_next()
    {
        (Task reached, Action release) = Row.Hold("write");
        Task<int> first = _counter.AddAsync(1);
        await reached;
        Task<int>[] others = [_counter.AddAsync(2), _counter.AddAsync(3), _counter.AddAsync(4)];
        await Task.WhenAll(Row.NotedAsync("add 2"), Row.NotedAsync("add 3"), Row.NotedAsync("add 4"));
        Assert.Equal(["write 1"], Row.Journal("write", "stored", "answer"));
        release();

        Assert.Equal(1, await WithinLimit(first));
        Assert.Contains(10, await WithinLimit(Task.WhenAll(others)));
        Assert.Equal(["write 1", "stored 1", "write 10", "stored 10"], Row.Journal("write", "stored"));
    }

    [Theory]
    [InlineData("write", 15)]
    [InlineData("after write", 16)]
    public async Task A_write_that_fails_refuses_all_that_wait_and_the_next_activation_begins_with_what_is_stored(string at, int expected)
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        (Task reached, Action release) = Row.Hold(at);
        Func<string, Task> hold = Row.At;
        Row.At = async name =>
        {
            await hold(name);
            if (name == at)
                throw new IOException("No space left on device");
        };
        Task<int> written = _counter.AddAsync(1);
        await reached;
        Task<int>[] waiting = [_counter.WaitAsync(AnHourMs, claim: true), _counter.AddAsync(2)];
        await Task.WhenAll(Row.NotedAsync("wait"), Row.NotedAsync("add 2"));
        release();
        await AreRefusedAsync([written, .. waiting]);
        await Row.NotedAsync("gone");
        Row.At = _ => Task.CompletedTask;

        Assert.Equal(expected, await AddAgainAsync(10));
        Assert.Equal(["answer 5", $"answer {expected}"], Row.Journal("answer"));
    }

    [Fact]
    public async Task An_activation_that_was_fenced_acknowledges_nothing()
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        Row.StoreElsewhere(20);

        await AreRefusedAsync(_counter.AddAsync(1));
        Assert.Equal(20, Row.Total);
        Assert.Equal(["answer 5"], Row.Journal("answer"));
        Assert.Equal(30, await AddAgainAsync(10));
    }

    [Fact]
    public async Task A_claim_during_a_write_fences_it()
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        (Task reached, Action release) = Row.Hold("write");
        Task<int> add = _counter.AddAsync(1);
        await reached;
        Row.StoreElsewhere(20);
        release();

        await AreRefusedAsync(add);
        Assert.Equal(["answer 5"], Row.Journal("answer"));
        Assert.Equal(30, await AddAgainAsync(10));
    }

    [Fact]
    public async Task A_check_of_the_ownership_finds_a_later_claim_and_ends_the_activation()
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        await _counter.CheckAsync();
        Task<int> waiting = _counter.WaitAsync(AnHourMs, claim: true);
        await Row.NotedAsync("wait");
        Row.StoreElsewhere(20);

        await AreRefusedAsync(_counter.CheckAsync(), waiting);
        Assert.Equal(30, await AddAgainAsync(10));
    }

    [Fact]
    public async Task A_claim_that_fails_refuses_the_calls_that_wait_for_it()
    {
        Row.StoreElsewhere(40);
        Row.At = name => name == "claim" ? throw new IOException("broken") : Task.CompletedTask;
        await AreRefusedAsync(_counter.AddAsync(1));
        await Row.NotedAsync("gone");
        Row.At = _ => Task.CompletedTask;
        Assert.Equal(41, await AddAgainAsync(1));
    }

    [Fact]
    public async Task A_machine_that_throws_at_a_request_is_discarded_with_all_that_waits_in_it()
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        Task<int> waiting = _counter.WaitAsync(AnHourMs, claim: true);
        await Row.NotedAsync("wait");

        await Assert.ThrowsAsync<NotSupportedException>(() => _counter.BreakAsync(0).WaitAsync(TestTimeout.Value));
        await AreRefusedAsync(waiting);
        Assert.Equal(15, await AddAgainAsync(10));
    }

    [Fact]
    public async Task A_machine_that_throws_at_its_deadline_is_discarded_with_all_that_waits_in_it()
    {
        Assert.Equal(5, await _counter.AddAsync(5));
        await AreRefusedAsync(_counter.WaitAsync(AnHourMs, claim: true), _counter.BreakAsync(10));
        Assert.Equal(15, await AddAgainAsync(10));
    }

    [Fact]
    public async Task The_timer_follows_the_nearest_deadline()
    {
        Task<int> far = _counter.WaitAsync(AnHourMs, claim: true);
        await Row.NotedAsync("wait");

        // Nothing but the timer tells the machine that these are due; the second needs that it is armed again.
        await WithinLimit(_counter.WaitAsync(30, claim: true));
        await WithinLimit(_counter.WaitAsync(10, claim: true));
        Assert.False(far.IsCompleted);
        Row.StoreElsewhere(0);
        await AreRefusedAsync(_counter.CheckAsync(), far);
    }

    [Fact]
    public async Task A_call_that_waits_in_a_machine_that_was_only_looked_at_is_refused_when_the_store_is_claimed()
    {
        Row.StoreElsewhere(40);
        Task<int> waiting = _counter.WaitAsync(AnHourMs, claim: false);
        await Row.NotedAsync("wait");
        Assert.Equal(["loaded 40", "wait"], Row.Journal());

        Assert.Equal(41, await WithinLimit(_counter.AddAsync(1)));
        await AreRefusedAsync(waiting);
    }

    [Fact]
    public async Task A_deactivation_lets_the_timer_answer_the_calls_that_wait()
    {
        Assert.Equal(0, await WithinLimit(_counter.DeactivateAndWaitAsync(50)));
        await Row.NotedAsync("gone");
        Assert.Equal(["wait", "answer 0", "gone"], Row.Journal("wait", "answer", "gone"));
        Assert.Equal(1, await AddAgainAsync(1));
    }

    private static async Task AreRefusedAsync(params Task[] calls)
    {
        foreach (Task call in calls)
        {
            ArusException refused = await Assert.ThrowsAsync<ArusException>(() => call.WaitAsync(TestTimeout.Value));
            Assert.Equal(ErrorCode.NotCoordinator, refused.Code);
        }
    }

    private static Task<T> WithinLimit<T>(Task<T> call) => call.WaitAsync(TestTimeout.Value);

    /// <summary>As all callers do, who may reach the activation that ends once more.</summary>
    private Task<int> AddAgainAsync(int amount) => Eventually.AsksAsync(
        () => _counter.AddAsync(amount), _ => true,
        failure => failure is ArusException { Code: ErrorCode.NotCoordinator }, TestTimeout.Value);

    public sealed class OneSilo : IAsyncLifetime
    {
        private InProcessTestCluster _cluster = null!;

        internal IGrainFactory Grains => _cluster.Client;

        internal CounterRows Rows { get; } = new();

        public async Task InitializeAsync()
        {
            var builder = new InProcessTestClusterBuilder(1);
            builder.ConfigureSilo((_, silo) => silo.Services.AddSingleton(Rows));
            _cluster = builder.Build();
            await _cluster.DeployAsync().WaitAsync(TestTimeout.Value);
        }

        public async Task DisposeAsync() => await _cluster.DisposeAsync();
    }
}
