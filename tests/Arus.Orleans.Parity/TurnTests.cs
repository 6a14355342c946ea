using Orleans;

namespace Arus.Orleans.Parity;

[Collection(ParityCollection.Name)]
public sealed class TurnTests(ParityCluster cluster)
{
    private readonly string _key = Guid.NewGuid().ToString("N");

    private ITurnGrain Grain => cluster.Grains.GetGrain<ITurnGrain>(_key);

    [Fact]
    public async Task One_call_at_a_time_runs_in_an_activation()
    {
        int[] inside = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Grain.MeasureAsync()));
        Assert.All(inside, n => Assert.Equal(1, n));
    }

    [Fact]
    public async Task A_call_declared_to_interleave_runs_while_another_waits_and_a_plain_one_does_not()
    {
        Task held = Grain.HoldAsync(_key);
        await Signals.WaitAsync($"{_key} held");
        Task plain = Grain.PlainAsync();
        await Grain.LogAsync();
        Assert.False(plain.IsCompleted);
        await Grain.SetAsync(_key);
        await Task.WhenAll(held, plain);

        Assert.Equal(["hold", "set", "held", "plain"], await Grain.LogAsync());
    }

    [Fact]
    public async Task Calls_of_a_reentrant_grain_interleave()
    {
        var grain = cluster.Grains.GetGrain<IReentrantGrain>(_key);
        await Task.WhenAll(grain.MeetAsync($"{_key} 1", $"{_key} 2"), grain.MeetAsync($"{_key} 2", $"{_key} 1"));
    }

    [Fact]
    public async Task Read_only_calls_interleave_with_one_another() =>
        await Task.WhenAll(Grain.MeetReaderAsync($"{_key} 1", $"{_key} 2"), Grain.MeetReaderAsync($"{_key} 2", $"{_key} 1"));

    [Fact]
    public async Task A_stateless_worker_has_several_activations()
    {
        var grain = cluster.Grains.GetGrain<IWorkerGrain>(Random.Shared.NextInt64());
        await Task.WhenAll(grain.MeetAsync($"{_key} 1", $"{_key} 2"), grain.MeetAsync($"{_key} 2", $"{_key} 1"));
    }

    [Fact]
    public async Task A_timer_does_not_tick_within_the_turns_of_a_call()
    {
        await Grain.ArmTimerAsync($"{_key} ticked");
        var other = cluster.Grains.GetGrain<ITurnGrain>($"{_key} other");
        await Signals.WaitAsync($"{_key} ticked");

        // Armed within the call that then waits, and due long before the other grain has counted its ticks.
        Task held = Grain.HoldAsync(_key);
        await Signals.WaitAsync($"{_key} held");
        Task armed = Grain.ArmTimerAsync($"{_key} ticked twice");
        await other.CountOverlappingTicksAsync(20);
        Assert.Equal(["tick", "hold"], await Grain.LogAsync());
        await Grain.SetAsync(_key);
        await Task.WhenAll(held, armed);
        await Signals.WaitAsync($"{_key} ticked twice");

        Assert.Equal(["tick", "hold", "set", "held", "tick"], await Grain.LogAsync());
    }

    [Fact]
    public async Task Ticks_of_one_timer_do_not_overlap() => Assert.Equal(1, await Grain.CountOverlappingTicksAsync(20));

    [Fact]
    public async Task A_call_that_is_not_answered_times_out()
    {
        await Assert.ThrowsAsync<TimeoutException>(Grain.NeverAsync);
    }

    [Fact]
    public async Task A_one_way_call_does_not_wait_for_its_end()
    {
        await Grain.HoldOneWayAsync(_key);
        await Signals.WaitAsync($"{_key} held");
        Assert.Equal(["hold"], await Grain.LogAsync());
        Signals.Set(_key);
    }
}
