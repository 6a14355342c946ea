using System.Reflection;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>A grain or observer interface as one silo or client uses it: its methods, and how references to it are made.</summary>
internal sealed class InterfaceMap
{
    private readonly Func<InterfaceMap, GrainId, SiloAddress?, GrainReference> _create;

    public InterfaceMap(Type type, RuntimeCore runtime)
    {
        Type = type;
        Runtime = runtime;
        Name = GrainInterfaceType.Create(NameOf(type));
        Methods = [.. MethodsOf(type).Select(info => runtime.Interfaces.GetMethod(info))];
        _create = ReferenceEmitter.Get(type);
    }

    public Type Type { get; }

    public GrainInterfaceType Name { get; }

    public RuntimeCore Runtime { get; }

    /// <summary>In the order of <see cref="MethodsOf"/>, which is that of the generated methods.</summary>
    public GrainMethod[] Methods { get; }

    public GrainReference CreateReference(GrainId grainId, SiloAddress? fixedSilo = null) => _create(this, grainId, fixedSilo);

    /// <summary>The methods of an interface and of those that it extends.</summary>
    public static IEnumerable<MethodInfo> MethodsOf(Type type) =>
        type.GetInterfaces().Prepend(type).SelectMany(one => one.GetMethods(BindingFlags.Public | BindingFlags.Instance)).Where(method => method.IsAbstract);

    public static string NameOf(Type type) =>
        type.GetCustomAttribute<GrainInterfaceTypeAttribute>()?.Name ?? type.GetCustomAttribute<AliasAttribute>()?.Alias ?? type.FullName ?? type.Name;
}

/// <summary>The interfaces and methods of one silo or client.</summary>
internal sealed class InterfaceRegistry(RuntimeCore runtime, CodecProvider codecs)
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<Type, InterfaceMap> _maps = new();
    private readonly System.Collections.Concurrent.ConcurrentDictionary<MethodInfo, GrainMethod> _methods = new();
    private readonly System.Collections.Concurrent.ConcurrentDictionary<ulong, GrainMethod> _byId = new();
    private readonly Lazy<Dictionary<ulong, MethodInfo>> _known = new(static () =>
    {
        var known = new Dictionary<ulong, MethodInfo>();
        foreach (MethodInfo info in GrainAssemblies.Interfaces.Where(type => !type.ContainsGenericParameters).SelectMany(InterfaceMap.MethodsOf))
        {
            known[GrainMethod.IdOf(info.DeclaringType!, info)] = info;
        }

        return known;
    });

    public InterfaceMap Get(Type type) => _maps.TryGetValue(type, out InterfaceMap? map) ? map : _maps.GetOrAdd(type, new InterfaceMap(type, runtime));

    public GrainMethod GetMethod(MethodInfo info)
    {
        GrainMethod method = _methods.GetOrAdd(info, Create);
        _byId.TryAdd(method.Id, method);
        return method;
    }

    /// <summary>The method that an id on the wire stands for, or null.</summary>
    public GrainMethod? Find(ulong id) =>
        _byId.TryGetValue(id, out GrainMethod? method) ? method
        : _known.Value.TryGetValue(id, out MethodInfo? info) ? GetMethod(info)
        : null;

    private GrainMethod Create(MethodInfo info)
    {
        Type declaring = info.DeclaringType!;
        if (info.IsGenericMethodDefinition || Array.Exists(info.GetParameters(), parameter => parameter.ParameterType.IsByRef))
        {
            throw new NotSupportedException($"{declaring}.{info.Name}: generic methods and by-reference parameters are not supported.");
        }

        Type args = ArgumentTuple.TypeOf([.. info.GetParameters().Select(parameter => parameter.ParameterType)]);
        return (GrainMethod)Activator.CreateInstance(
            typeof(GrainMethod<,>).MakeGenericType(args, ResultOf(info)), declaring, info, codecs)!;
    }

    public static Type ResultOf(MethodInfo info)
    {
        Type type = info.ReturnType;
        return type == typeof(void) || type == typeof(Task) || type == typeof(ValueTask) ? typeof(Nothing)
            : type.IsGenericType && type.GetGenericTypeDefinition() is var open && (open == typeof(Task<>) || open == typeof(ValueTask<>))
                ? type.GetGenericArguments()[0]
            : throw new NotSupportedException(
                $"{info.DeclaringType}.{info.Name} returns {type}; grain methods return Task, Task<T>, ValueTask or ValueTask<T>.");
    }
}
