using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Orleans.Runtime;

/// <summary>
/// Where grains are looked for: this assembly, and every assembly of the application that refers to it. Orleans has a source
/// generator leave this knowledge behind; here the application's folder is asked.
/// </summary>
internal static class GrainAssemblies
{
    private static readonly Lazy<Type[]> AllTypes = new(Scan);

    public static IEnumerable<Type> Interfaces => AllTypes.Value.Where(type => type.IsInterface && typeof(IAddressable).IsAssignableFrom(type));

    public static IEnumerable<Type> Classes => AllTypes.Value.Where(type =>
        type is { IsClass: true, IsAbstract: false, ContainsGenericParameters: false } && typeof(IGrain).IsAssignableFrom(type)
        && !typeof(GrainReference).IsAssignableFrom(type));

    private static Type[] Scan()
    {
        Assembly self = typeof(GrainAssemblies).Assembly;
        string name = self.GetName().Name!;
        var found = new Dictionary<string, Assembly>(StringComparer.OrdinalIgnoreCase) { [name] = self };
        foreach (Assembly assembly in AppDomain.CurrentDomain.GetAssemblies())
        {
            if (!assembly.IsDynamic && Array.Exists(assembly.GetReferencedAssemblies(), one => one.Name == name))
            {
                found[assembly.GetName().Name!] = assembly;
            }
        }

        // An assembly that the code has not touched yet is not loaded, and the compiler even drops the reference to one that is
        // never touched; the host knows it all the same.
        string trusted = AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") as string ?? "";
        foreach (string path in trusted.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            string simple = Path.GetFileNameWithoutExtension(path);
            if (!found.ContainsKey(simple) && !IsFramework(simple) && RefersTo(path, name))
            {
                found[simple] = Assembly.Load(new AssemblyName(simple));
            }
        }

        return [.. found.Values.SelectMany(TypesOf)];
    }

    private static bool IsFramework(string name) =>
        name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal) || name is "mscorlib" or "netstandard";

    private static bool RefersTo(string path, string name)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        using var file = new PEReader(File.OpenRead(path));
        if (!file.HasMetadata)
        {
            return false;
        }

        MetadataReader metadata = file.GetMetadataReader();
        return metadata.AssemblyReferences.Any(handle =>
            metadata.StringComparer.Equals(metadata.GetAssemblyReference(handle).Name, name));
    }

    private static Type[] TypesOf(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException exception)
        {
            // A type that needs a missing assembly is no grain that could run here.
            return [.. exception.Types.OfType<Type>()];
        }
    }
}
