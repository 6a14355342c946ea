using Orleans;
using Orleans.Runtime;

namespace Arus.Orleans.Parity;

[GenerateSerializer]
public sealed class Tally
{
    [Id(0)]
    public int Count { get; set; }
}

public interface IStateGrain : IGrainWithStringKey
{
    Task<int> AddAsync();

    Task<int> CountAsync();

    Task<int> CountAtActivationAsync();

    Task ClearAsync();

    Task<Guid> RunAsync();

    Task LeaveAsync();
}

public abstract class StateGrainBase(IPersistentState<Tally> tally) : Grain, IStateGrain
{
    private readonly Guid _run = Guid.NewGuid();
    private int _countAtActivation = -1;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _countAtActivation = tally.State.Count;
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Signals.Set($"{this.GetPrimaryKeyString()} gone {_run}");
        return Task.CompletedTask;
    }

    public async Task<int> AddAsync()
    {
        tally.State.Count++;
        await tally.WriteStateAsync();
        return tally.State.Count;
    }

    public Task<int> CountAsync() => Task.FromResult(tally.State.Count);

    public Task<int> CountAtActivationAsync() => Task.FromResult(_countAtActivation);

    public async Task ClearAsync()
    {
        await tally.ClearStateAsync();
        if (tally.RecordExists || tally.State.Count != 0)
        {
            throw new InvalidOperationException("A cleared state is not empty.");
        }
    }

    public Task<Guid> RunAsync() => Task.FromResult(_run);

    public Task LeaveAsync()
    {
        this.DeactivateOnIdle();
        return Task.CompletedTask;
    }
}

public interface ISharedStateGrain : IStateGrain;

public sealed class SharedStateGrain([PersistentState("tally", SharedStorage.Name)] IPersistentState<Tally> tally)
    : StateGrainBase(tally), ISharedStateGrain;

public interface IMemoryStateGrain : IStateGrain;

public sealed class MemoryStateGrain([PersistentState("tally", "memory")] IPersistentState<Tally> tally) : StateGrainBase(tally), IMemoryStateGrain;

public interface IIdleGrain : IStateGrain;

public sealed class IdleGrain([PersistentState("tally", SharedStorage.Name)] IPersistentState<Tally> tally) : StateGrainBase(tally), IIdleGrain;

public interface IMisconfiguredGrain : IGrainWithStringKey
{
    Task PingAsync();
}

public sealed class MisconfiguredGrain([PersistentState("tally", "nobody")] IPersistentState<Tally> tally) : Grain, IMisconfiguredGrain
{
    public Task PingAsync() => Task.FromResult(tally.State.Count);
}

public interface IFailingActivationGrain : IGrainWithStringKey
{
    Task PingAsync();
}

public sealed class FailingActivationGrain : Grain, IFailingActivationGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken) => throw new ShapeException("not today", 4);

    public Task PingAsync() => Task.CompletedTask;
}
