namespace Orleans.Runtime;

/// <summary>The activation whose turn runs on this thread.</summary>
internal static class RuntimeContext
{
    [ThreadStatic]
    private static Activation? s_current;

    public static Activation? Current
    {
        get => s_current;
        set => s_current = value;
    }
}

internal sealed class GrainContextAccessor : IGrainContextAccessor
{
    public IGrainContext GrainContext => RuntimeContext.Current!;
}
