using System.Collections.Concurrent;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Concurrency;
using Orleans.Placement;

namespace Orleans.Runtime;

/// <summary>A grain class: how it is named, placed, scheduled, collected and made.</summary>
internal sealed class GrainClass
{
    private readonly Lazy<Func<Activation, object>> _create;

    public GrainClass(Type type)
    {
        Type = type;
        GrainType = GrainType.Create(NameOf(type));
        Placement = type.GetCustomAttribute<PlacementAttribute>(inherit: true)?.PlacementStrategy ?? new RandomPlacement();
        IsReentrant = type.IsDefined(typeof(ReentrantAttribute), inherit: true);
        IsKeptAlive = type.IsDefined(typeof(KeepAliveAttribute), inherit: true);
        AgeLimit = type.GetCustomAttribute<CollectionAgeLimitAttribute>(inherit: true)?.AgeLimit;
        Type[] interfaces = [.. type.GetInterfaces().Where(one => typeof(IAddressable).IsAssignableFrom(one) && one != typeof(IAddressable))];
        HasInterleaving = IsReentrant || interfaces.SelectMany(one => one.GetMethods()).Any(method => method.IsDefined(typeof(AlwaysInterleaveAttribute)));
        Entry = new GrainClassEntry(NameOf(type), type.FullName!, [.. interfaces.Where(one => !one.ContainsGenericParameters).Select(InterfaceMap.NameOf)]);
        _create = new(() => ConstructorOf(type));
    }

    public Type Type { get; }

    public GrainType GrainType { get; }

    public PlacementStrategy Placement { get; }

    public bool IsReentrant { get; }

    public bool IsKeptAlive { get; }

    /// <summary>Whether anything could start beside a running request.</summary>
    public bool HasInterleaving { get; }

    public TimeSpan? AgeLimit { get; }

    public GrainClassEntry Entry { get; }

    public object CreateInstance(Activation activation) => _create.Value(activation);

    private static string NameOf(Type type)
    {
        if (type.GetCustomAttribute<GrainTypeAttribute>() is { } named)
        {
            return named.Name;
        }

        string name = type.Name.ToLowerInvariant();
        return name.Length > "grain".Length && name.EndsWith("grain", StringComparison.Ordinal) ? name[..^"grain".Length] : name;
    }

    private static Func<Activation, object> ConstructorOf(Type type)
    {
        ConstructorInfo[] constructors = type.GetConstructors();
        ConstructorInfo constructor =
            Array.Find(constructors, one => one.IsDefined(typeof(ActivatorUtilitiesConstructorAttribute)))
            ?? constructors.MaxBy(one => one.GetParameters().Length)
            ?? throw new OrleansConfigurationException($"Grain class {type} has no public constructor.");
        Func<Activation, object?>[] arguments = [.. constructor.GetParameters().Select(ArgumentOf)];
        return activation =>
        {
            object?[] values = new object?[arguments.Length];
            for (int index = 0; index < values.Length; index++)
            {
                values[index] = arguments[index](activation);
            }

            return constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, values, null);
        };
    }

    private static Func<Activation, object?> ArgumentOf(ParameterInfo parameter)
    {
        if (parameter.ParameterType == typeof(IGrainContext))
        {
            return static activation => activation;
        }

        if (parameter.GetCustomAttributes().FirstOrDefault(one => one is IFacetMetadata) is { } facet)
        {
            return FacetOf(parameter, facet);
        }

        if (parameter.GetCustomAttribute<FromKeyedServicesAttribute>() is { } keyed)
        {
            return activation => activation.ActivationServices.GetRequiredKeyedService(parameter.ParameterType, keyed.Key);
        }

        return activation => activation.ActivationServices.GetService(parameter.ParameterType)
            ?? (parameter.HasDefaultValue
                ? parameter.DefaultValue
                : throw new InvalidOperationException(
                    $"Unable to resolve service for type '{parameter.ParameterType}' while attempting to activate '{parameter.Member.DeclaringType}'."));
    }

    private static Func<Activation, object?> FacetOf(ParameterInfo parameter, Attribute facet)
    {
        Type mapperType = typeof(IAttributeToFactoryMapper<>).MakeGenericType(facet.GetType());
        MethodInfo getFactory = mapperType.GetMethod(nameof(IAttributeToFactoryMapper<IFacetMetadata>.GetFactory))!;

        // The mapper is the silo's, and several silos may share this process.
        var factories = new ConcurrentDictionary<SiloRuntime, Factory<IGrainContext, object>>();
        return activation => factories.GetOrAdd(activation.Silo, silo =>
        {
            object mapper = silo.ServiceProvider.GetService(mapperType)
                ?? throw new OrleansConfigurationException($"No mapper is registered for [{facet.GetType().Name}] of {parameter.Member.DeclaringType}.");
            return (Factory<IGrainContext, object>)getFactory.Invoke(mapper, BindingFlags.DoNotWrapExceptions, null, [parameter, facet], null)!;
        })(activation);
    }
}
