using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Orleans.Parity;

[Collection(ParityCollection.Name)]
public sealed class StateTests(ParityCluster cluster)
{
    private readonly string _key = Guid.NewGuid().ToString("N");

    public static TheoryData<Type> Kinds() => [typeof(ISharedStateGrain), typeof(IMemoryStateGrain)];

    [Theory, MemberData(nameof(Kinds))]
    public async Task State_outlives_the_activation_and_is_there_before_the_next_one_activates(Type kind)
    {
        var grain = (IStateGrain)cluster.Grains.GetGrain(kind, _key);
        Assert.Equal(0, await grain.CountAtActivationAsync());
        await grain.AddAsync();
        Assert.Equal(2, await grain.AddAsync());
        Guid run = await grain.RunAsync();

        await grain.LeaveAsync();
        await Signals.WaitAsync($"{_key} gone {run}");

        Assert.Equal(2, await grain.CountAtActivationAsync());
        Assert.Equal(3, await grain.AddAsync());
        Assert.NotEqual(run, await grain.RunAsync());
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task A_cleared_state_is_empty_and_can_be_written_again(Type kind)
    {
        var grain = (IStateGrain)cluster.Grains.GetGrain(kind, _key);
        await grain.AddAsync();
        await grain.ClearAsync();
        Assert.Equal(1, await grain.AddAsync());
    }

    [Fact]
    public async Task A_write_with_a_stale_version_fails_and_a_new_activation_reads_what_is_stored()
    {
        var grain = cluster.Grains.GetGrain<ISharedStateGrain>(_key);
        await grain.AddAsync();
        Guid run = await grain.RunAsync();
        SharedStorage.Put("tally", grain.GetGrainId(), new Tally { Count = 40 });

        var stale = await Assert.ThrowsAsync<InconsistentStateException>(grain.AddAsync);

        Assert.NotNull(stale.StoredEtag);
        Assert.NotNull(stale.CurrentEtag);
        Assert.NotEqual(stale.StoredEtag, stale.CurrentEtag);
        await Signals.WaitAsync($"{_key} gone {run}");
        Assert.Equal(41, await grain.AddAsync());
    }

    [Fact]
    public async Task What_a_provider_throws_reaches_the_caller_inside_an_exception_of_Orleans()
    {
        var grain = cluster.Grains.GetGrain<ISharedStateGrain>(_key);
        SharedStorage.Break("tally", grain.GetGrainId(), new IOException("No space left on device"));

        Exception failed = await Assert.ThrowsAnyAsync<Exception>(grain.AddAsync);

        Assert.Equal(typeof(OrleansException), failed.GetType());
        Assert.IsType<IOException>(failed.InnerException);
        Assert.Contains("No space left on device", failed.Message);
    }

    [Fact]
    public async Task An_idle_grain_goes_and_comes_back_with_its_state()
    {
        var grain = cluster.Grains.GetGrain<IIdleGrain>(_key);
        await grain.AddAsync();
        Guid run = await grain.RunAsync();
        await Signals.WaitAsync($"{_key} gone {run}");
        Assert.Equal(1, await grain.CountAsync());
        Assert.NotEqual(run, await grain.RunAsync());
    }

    [Fact]
    public async Task A_provider_that_is_missing_is_named()
    {
        Exception missing = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grains.GetGrain<IMisconfiguredGrain>(_key).PingAsync());
        Assert.Contains("nobody", missing.ToString());
    }

    [Fact]
    public async Task What_activation_throws_reaches_the_caller()
    {
        Exception failed = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grains.GetGrain<IFailingActivationGrain>(_key).PingAsync());
        Assert.Contains("not today", failed.ToString());
    }
}
