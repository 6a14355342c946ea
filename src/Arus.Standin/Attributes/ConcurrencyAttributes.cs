using Orleans.Placement;

namespace Orleans.Concurrency;

/// <summary>The method's calls run between the turns of any other call.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class AlwaysInterleaveAttribute : Attribute;

/// <summary>The caller waits for no response and learns of no failure.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class OneWayAttribute : Attribute;

/// <summary>Calls of the grain's read-only methods interleave with one another.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ReadOnlyAttribute : Attribute;

/// <summary>All calls of the grain interleave, turn by turn.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ReentrantAttribute : Attribute;

/// <summary>The grain has as many activations on each silo as its load asks for, up to a limit, and none is in the directory.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class StatelessWorkerAttribute : PlacementAttribute
{
    public StatelessWorkerAttribute()
        : this(-1)
    {
    }

    public StatelessWorkerAttribute(int maxLocalWorkers)
        : base(new StatelessWorkerPlacement(maxLocalWorkers))
    {
    }
}

/// <summary>Says at the call that the value is shared, not copied.</summary>
[GenerateSerializer, Immutable]
public readonly struct Immutable<T>(T value)
{
    [Id(0)]
    public readonly T Value = value;
}

public static class ImmutableExtensions
{
    public static Immutable<T> AsImmutable<T>(this T value) => new(value);
}
