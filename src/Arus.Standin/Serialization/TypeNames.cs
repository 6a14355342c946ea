using System.Collections.Concurrent;
using System.Reflection;
using System.Text;

namespace Orleans.Serialization;

/// <summary>The names by which types are known in messages: full name and assembly, without versions. Thread-safe.</summary>
internal sealed class TypeNames
{
    /// <summary>Names come from the network; only so many are remembered.</summary>
    private const int MaxRemembered = 4096;

    private readonly ConcurrentDictionary<Type, string> _names = new();
    private readonly ConcurrentDictionary<string, Type> _types = new(StringComparer.Ordinal);

    public string NameOf(Type type) => _names.GetOrAdd(type, static t =>
    {
        var text = new StringBuilder();
        Format(t, text);
        return text.ToString();
    });

    /// <summary>The type of that name, or null when this process has none.</summary>
    public Type? Find(string name)
    {
        if (_types.TryGetValue(name, out Type? known))
        {
            return known;
        }

        Type? found = Load(name);
        if (found is not null && _types.Count < MaxRemembered)
        {
            _types.TryAdd(name, found);
        }

        return found;
    }

    private static Type? Load(string name)
    {
        try
        {
            return Type.GetType(name, FindAssembly, typeResolver: null, throwOnError: false);
        }
        catch (Exception unknown) when (unknown is ArgumentException or TypeLoadException or BadImageFormatException or IOException)
        {
            // Not a type name at all, or of an assembly that cannot be loaded here: to the caller the same as an unknown type.
            return null;
        }
    }

    private static Assembly? FindAssembly(AssemblyName wanted)
    {
        foreach (Assembly loaded in AppDomain.CurrentDomain.GetAssemblies())
        {
            if (string.Equals(loaded.GetName().Name, wanted.Name, StringComparison.OrdinalIgnoreCase))
            {
                return loaded;
            }
        }

        return Assembly.Load(wanted);
    }

    private static void Format(Type type, StringBuilder text)
    {
        FormatWithoutAssembly(type, text);
        text.Append(", ").Append(Element(type).Assembly.GetName().Name);
    }

    private static void FormatWithoutAssembly(Type type, StringBuilder text)
    {
        if (type.IsSZArray)
        {
            FormatWithoutAssembly(type.GetElementType()!, text);
            text.Append("[]");
        }
        else if (type.IsConstructedGenericType)
        {
            text.Append(type.GetGenericTypeDefinition().FullName).Append('[');
            string separator = "[";
            foreach (Type argument in type.GetGenericArguments())
            {
                text.Append(separator);
                Format(argument, text);
                text.Append(']');
                separator = ",[";
            }

            text.Append(']');
        }
        else
        {
            text.Append(type.FullName ?? throw new CodecNotFoundException($"{type} has no name by which another process could know it."));
        }
    }

    private static Type Element(Type type)
    {
        while (type.IsSZArray)
        {
            type = type.GetElementType()!;
        }

        return type;
    }
}
