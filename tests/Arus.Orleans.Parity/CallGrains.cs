using Orleans;
using Orleans.Concurrency;
using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace Arus.Orleans.Parity;

[GenerateSerializer]
public sealed class Box
{
    [Id(0)]
    public int[] Numbers { get; set; } = [];
}

[GenerateSerializer, Immutable]
public sealed record Sealed(int[] Numbers);

[GenerateSerializer]
public class ShapeException : Exception
{
    public ShapeException(string message, int corners) : base(message) => Corners = corners;

    [Id(0)]
    public int Corners { get; private set; }
}

public interface ICallGrain : IGrainWithStringKey
{
    Task ChangeAsync(Box box);

    Task<int> ReadOwnAsync();

    Task<Box> GiveOwnAsync();

    Task<bool> ChangesOfAnotherReachItsArgumentAsync(string otherKey);

    Task<bool> SharesSealedWithAnotherAsync(string otherKey);

    Task ChangeSealedAsync(Sealed value);

    Task ThrowAsync(string kind);

    Task ThrowFromAnotherAsync(string otherKey, string kind);

    Task<string?> ContextAsync(string key);

    Task<string?> ContextOfAnotherAsync(string otherKey, string key);

    Task SetContextAsync(string key, string value);

    Task<string> WhereAsync();

    Task<string> WhereIsAnotherAsync(string otherKey);

    Task<string> GreetThroughAsync(ICallGrain other);

    Task<string> NameAsync();

    Task NotifyAsync(ICallObserver observer, int number);
}

public interface ICallObserver : IGrainObserver
{
    Task OnNumberAsync(int number);
}

[PreferLocalPlacement]
public sealed class CallGrain(ILocalSiloDetails silo) : Grain, ICallGrain
{
    private readonly Box _own = new() { Numbers = [1] };

    public Task ChangeAsync(Box box)
    {
        box.Numbers[0] = 99;
        return Task.CompletedTask;
    }

    public Task<int> ReadOwnAsync() => Task.FromResult(_own.Numbers[0]);

    public Task<Box> GiveOwnAsync() => Task.FromResult(_own);

    public async Task<bool> ChangesOfAnotherReachItsArgumentAsync(string otherKey)
    {
        var mine = new Box { Numbers = [1] };
        var other = GrainFactory.GetGrain<ICallGrain>(otherKey);
        await other.ChangeAsync(mine);
        Box theirs = await other.GiveOwnAsync();
        theirs.Numbers[0] = 99;
        return mine.Numbers[0] != 1 || await other.ReadOwnAsync() != 1;
    }

    public async Task<bool> SharesSealedWithAnotherAsync(string otherKey)
    {
        var mine = new Sealed([1]);
        await GrainFactory.GetGrain<ICallGrain>(otherKey).ChangeSealedAsync(mine);
        return mine.Numbers[0] == 99;
    }

    public Task ChangeSealedAsync(Sealed value)
    {
        value.Numbers[0] = 99;
        return Task.CompletedTask;
    }

    public async Task ThrowAsync(string kind)
    {
        await Task.Yield();
        throw kind switch
        {
            "shape" => new ShapeException("a shape", 5),
            "arus" => new ArusException(ErrorCode.InvalidTopicException, "no such name"),
            "argument" => new ArgumentOutOfRangeException("count", "too many"),
            "nested" => new InvalidOperationException("outer", new ShapeException("inner", 3)),
            _ => new InvalidOperationException(kind),
        };
    }

    public Task ThrowFromAnotherAsync(string otherKey, string kind) => GrainFactory.GetGrain<ICallGrain>(otherKey).ThrowAsync(kind);

    public Task<string?> ContextAsync(string key) => Task.FromResult(RequestContext.Get(key) as string);

    public Task<string?> ContextOfAnotherAsync(string otherKey, string key) => GrainFactory.GetGrain<ICallGrain>(otherKey).ContextAsync(key);

    public Task SetContextAsync(string key, string value)
    {
        RequestContext.Set(key, value);
        return Task.CompletedTask;
    }

    public Task<string> WhereAsync() => Task.FromResult(silo.Name);

    public Task<string> WhereIsAnotherAsync(string otherKey) => GrainFactory.GetGrain<ICallGrain>(otherKey).WhereAsync();

    public Task<string> GreetThroughAsync(ICallGrain other) => other.NameAsync();

    public Task<string> NameAsync() => Task.FromResult(this.GetPrimaryKeyString());

    public Task NotifyAsync(ICallObserver observer, int number) => observer.OnNumberAsync(number);
}

/// <summary>Puts a grain on the silo that its key names.</summary>
[Serializable, GenerateSerializer]
public sealed class OnNamedSilo : PlacementStrategy
{
    public static OnNamedSilo Instance { get; } = new();
}

[AttributeUsage(AttributeTargets.Class)]
public sealed class OnNamedSiloAttribute() : PlacementAttribute(OnNamedSilo.Instance);

public sealed class OnNamedSiloDirector(IClusterMembershipService membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        string name = target.GrainIdentity.Key.ToString()!.Split('@')[1];
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        return Task.FromResult(silos.FirstOrDefault(s => membership.CurrentSnapshot.Members[s].Name == name)
            ?? throw new SiloUnavailableException($"No silo is named {name}."));
    }
}

public interface IPinnedGrain : IGrainWithStringKey
{
    Task<string> WhereAsync();
}

[OnNamedSilo]
public sealed class PinnedGrain(ILocalSiloDetails silo) : Grain, IPinnedGrain
{
    public Task<string> WhereAsync() => Task.FromResult(silo.Name);
}
