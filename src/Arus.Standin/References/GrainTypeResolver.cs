using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>A grain class as it is known to the whole cluster.</summary>
/// <param name="GrainType">Its name in grain ids.</param>
/// <param name="ClassName">Full name of the class.</param>
/// <param name="Interfaces">Names of the grain interfaces that it implements.</param>
[GenerateSerializer, Immutable, Alias("standin.GrainClassEntry")]
internal sealed record GrainClassEntry(string GrainType, string ClassName, string[] Interfaces);

/// <summary>Finds the grain class that stands behind an interface.</summary>
internal sealed class GrainTypeResolver(IReadOnlyCollection<GrainClassEntry> classes)
{
    private readonly ConcurrentDictionary<(Type, string?), GrainType> _resolved = new();

    public IReadOnlyCollection<GrainClassEntry> Classes { get; } = classes;

    /// <exception cref="ArgumentException">No class implements it, or several do and nothing says which is meant.</exception>
    public GrainType Resolve(InterfaceMap map, string? classPrefix) =>
        _resolved.TryGetValue((map.Type, classPrefix), out GrainType known)
            ? known
            : _resolved.GetOrAdd((map.Type, classPrefix), Find(map, classPrefix));

    private GrainType Find(InterfaceMap map, string? classPrefix)
    {
        string name = map.Name.ToString();
        GrainClassEntry[] found = [.. Classes.Where(entry =>
            entry.Interfaces.Contains(name) && (classPrefix is null || entry.ClassName.StartsWith(classPrefix, StringComparison.Ordinal)))];
        if (found.Length > 1)
        {
            // By convention IFoo is meant to be served by Foo.
            GrainClassEntry[] named = [.. found.Where(entry => entry.ClassName.Split('.', '+')[^1] == map.Type.Name.TrimStart('I'))];
            found = named.Length == 1 ? named : found;
        }

        return found.Length switch
        {
            1 => GrainType.Create(found[0].GrainType),
            0 => throw new ArgumentException($"Could not find an implementation for interface {map.Type}."),
            _ => throw new ArgumentException(
                $"Unable to identify a single appropriate grain type for interface {map.Type}. Candidates: {string.Join(", ", found.Select(entry => entry.ClassName))}"),
        };
    }
}
