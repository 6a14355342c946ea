using System.Reflection;

namespace Orleans.Serialization;

/// <summary>
/// Finds <c>[RegisterConverter]</c> types in the assemblies that are loaded. An assembly is looked at once; those loaded later
/// are looked at when a type is asked for that is not known yet. Used under the lock of <see cref="CodecProvider"/>.
/// </summary>
internal sealed class Converters
{
    private readonly HashSet<Assembly> _seen = [];
    private readonly Dictionary<Type, (Type Converter, Type Surrogate)> _byValue = [];

    /// <summary>The converter of values of <paramref name="type"/>, if there is one.</summary>
    public bool TryFind(Type type, out (Type Converter, Type Surrogate) found)
    {
        if (_byValue.TryGetValue(type, out found))
        {
            return true;
        }

        foreach (Assembly assembly in AppDomain.CurrentDomain.GetAssemblies())
        {
            if (_seen.Add(assembly) && RefersToOrleans(assembly))
            {
                Scan(assembly);
            }
        }

        return _byValue.TryGetValue(type, out found);
    }

    private static bool RefersToOrleans(Assembly assembly)
    {
        Assembly here = typeof(Converters).Assembly;
        return assembly == here
            || (!assembly.IsDynamic && assembly.GetReferencedAssemblies().Any(r => r.Name == here.GetName().Name));
    }

    private void Scan(Assembly assembly)
    {
        foreach (Type type in LoadableTypes(assembly))
        {
            if (type.IsAbstract || type.ContainsGenericParameters || !type.IsDefined(typeof(RegisterConverterAttribute), inherit: false))
            {
                continue;
            }

            foreach (Type contract in type.GetInterfaces())
            {
                if (contract.IsConstructedGenericType && contract.GetGenericTypeDefinition() == typeof(IConverter<,>))
                {
                    Type[] arguments = contract.GetGenericArguments();
                    _byValue.TryAdd(arguments[0], (type, arguments[1]));
                }
            }
        }
    }

    private static IEnumerable<Type> LoadableTypes(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException partly)
        {
            // A type whose own dependencies are missing cannot be a converter that anybody uses.
            return partly.Types.OfType<Type>();
        }
    }
}
