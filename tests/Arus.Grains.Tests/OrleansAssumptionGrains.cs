using Orleans.Concurrency;
using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace Arus.Grains.Tests;

[GenerateSerializer]
public sealed class Tally
{
    [Id(0)]
    public int Count { get; set; }
}

[GenerateSerializer, Immutable]
public sealed record SharedNumbers(int[] Numbers);

public interface IAssumedGrain : IGrainWithStringKey
{
    Task<bool> SharesWithAnotherAsync(string key);

    Task<SharedNumbers> IncrementAsync(SharedNumbers numbers);

    Task<int> AddAsync();

    [AlwaysInterleave]
    Task<Guid> RunAsync();

    Task<Guid> PlainAsync();

    Task<bool> WaitForTickAsync(bool interleave);

    Task HoldAsync(string signal);

    [AlwaysInterleave]
    Task SetAsync(string signal);

    Task RefuseAsync();
}

internal sealed class AssumedGrain([PersistentState("tally", OrleansAssumptionTests.TestStorage.Name)] IPersistentState<Tally> tally)
    : Grain, IAssumedGrain
{
    private readonly Guid _run = Guid.NewGuid();

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        OrleansAssumptionTests.Signals.Set($"{_run} gone");
        return Task.CompletedTask;
    }

    public async Task<bool> SharesWithAnotherAsync(string key)
    {
        var mine = new SharedNumbers([1]);
        SharedNumbers returned = await GrainFactory.GetGrain<IAssumedGrain>(key).IncrementAsync(mine);
        return mine.Numbers[0] == 2 && ReferenceEquals(mine.Numbers, returned.Numbers);
    }

    public Task<SharedNumbers> IncrementAsync(SharedNumbers numbers)
    {
        numbers.Numbers[0]++;
        return Task.FromResult(numbers);
    }

    public async Task<int> AddAsync()
    {
        tally.State.Count++;
        await tally.WriteStateAsync();
        return tally.State.Count;
    }

    public Task<Guid> RunAsync() => Task.FromResult(_run);

    public Task<Guid> PlainAsync() => Task.FromResult(_run);

    /// <summary>Whether a timer due at once ticks before another one, which interleaves and is due much later, does.</summary>
    public async Task<bool> WaitForTickAsync(bool interleave)
    {
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var last = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using IGrainTimer timer = Arm(first, TimeSpan.Zero, interleave);
        using IGrainTimer later = Arm(last, TimeSpan.FromMilliseconds(100), interleave: true);
        await last.Task.WaitAsync(OrleansAssumptionTests.OneSilo.Limit);
        return first.Task.IsCompleted;
    }

    public async Task HoldAsync(string signal)
    {
        OrleansAssumptionTests.Signals.Set($"{signal} held");
        await OrleansAssumptionTests.Signals.WaitAsync(signal);
    }

    public Task SetAsync(string signal)
    {
        OrleansAssumptionTests.Signals.Set(signal);
        return Task.CompletedTask;
    }

    public Task RefuseAsync() => throw new ArusException(ErrorCode.InvalidTopicException, "no such name");

    private IGrainTimer Arm(TaskCompletionSource ticked, TimeSpan due, bool interleave) => this.RegisterGrainTimer(
        _ =>
        {
            ticked.TrySetResult();
            return Task.CompletedTask;
        },
        new GrainTimerCreationOptions(due, Timeout.InfiniteTimeSpan) { Interleave = interleave });
}

public interface IFailingGrain : IGrainWithStringKey
{
    Task PingAsync();
}

internal sealed class FailingGrain : Grain, IFailingGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken) => throw new InvalidDataException("not today");

    public Task PingAsync() => Task.CompletedTask;
}

public interface IMisplacedGrain : IGrainWithStringKey
{
    Task PingAsync();
}

[NowherePlacement]
internal sealed class MisplacedGrain : Grain, IMisplacedGrain
{
    public Task PingAsync() => Task.CompletedTask;
}

[Serializable, GenerateSerializer, Immutable]
internal sealed class NowherePlacement : PlacementStrategy
{
    public static NowherePlacement Instance { get; } = new();
}

[AttributeUsage(AttributeTargets.Class)]
internal sealed class NowherePlacementAttribute() : PlacementAttribute(NowherePlacement.Instance);

internal sealed class NowhereDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context) =>
        throw new InvalidOperationException("There is nowhere to put it.");
}
