using System.Reflection;

namespace Arus.Testing;

/// <summary>An interface as a function, so that a fake need not follow what it does not use.</summary>
#pragma warning disable CA1852 // The runtime derives from it.
public class Fake : DispatchProxy
#pragma warning restore CA1852
{
    private Func<MethodInfo, object?[], object> _handler = null!;

    public static T Of<T>(Func<MethodInfo, object?[], object> handler)
        where T : class
    {
        T proxy = Create<T, Fake>();
        ((Fake)(object)proxy)._handler = handler;
        return proxy;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => _handler(targetMethod!, args ?? []);
}
