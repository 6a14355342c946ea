using System.Reflection;
using System.Runtime.CompilerServices;

namespace Orleans.Serialization;

/// <summary>One part of a serialized type.</summary>
/// <param name="Member">The field or property that stands in the source.</param>
/// <param name="Type">The type of its value.</param>
/// <param name="Shared">Copies share its value: <c>[Immutable]</c> on the member.</param>
internal sealed record SerializableMember(MemberInfo Member, Type Type, bool Shared);

/// <summary>
/// What of a type is serialized, in the order in which it is written: of each class from the root down, first the parameters of
/// a positional record, then the members with <c>[Id]</c> by their ids.
/// </summary>
internal static class SerializableMembers
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    public static IReadOnlyList<SerializableMember> Of(Type type)
    {
        var members = new List<SerializableMember>();
        foreach (Type level in Levels(type))
        {
            members.AddRange(IsPlainTuple(level) ? AllFields(level) : OfLevel(level));
        }

        return members;
    }

    private static Stack<Type> Levels(Type type)
    {
        var levels = new Stack<Type>();
        for (Type? level = type; level is not null && level != typeof(object) && level != typeof(ValueType); level = level.BaseType)
        {
            if (level.IsDefined(typeof(GenerateSerializerAttribute), inherit: false) || IsPlainTuple(level))
            {
                levels.Push(level);
            }
        }

        return levels;
    }

    private static bool IsPlainTuple(Type type) => type.Namespace is nameof(System) or "System.Collections.Generic"
        && (typeof(ITuple).IsAssignableFrom(type)
            || (type.IsConstructedGenericType && type.GetGenericTypeDefinition() == typeof(KeyValuePair<,>)));

    private static IEnumerable<SerializableMember> AllFields(Type type) =>
        type.GetFields(Declared).Select(f => new SerializableMember(f, f.FieldType, Shared: false));

    private static IEnumerable<SerializableMember> OfLevel(Type type)
    {
        var marked = new SortedDictionary<uint, SerializableMember>();
        foreach (MemberInfo member in type.GetMembers(Declared))
        {
            if (member is not (FieldInfo or PropertyInfo) || member.GetCustomAttribute<IdAttribute>() is not { } id)
            {
                continue;
            }

            if (!marked.TryAdd(id.Id, Describe(member)))
            {
                throw new CodecNotFoundException($"Type {type} has two members with [Id({id.Id})]: {marked[id.Id].Member.Name} and {member.Name}.");
            }
        }

        IEnumerable<SerializableMember> positional = PositionalParameters(type)
            .Select(parameter => PropertyOf(type, parameter))
            .Where(property => !property.IsDefined(typeof(IdAttribute)))
            .Select(Describe);
        return positional.Concat(marked.Values);
    }

    private static SerializableMember Describe(MemberInfo member) => new(
        member,
        member is FieldInfo field ? field.FieldType : ((PropertyInfo)member).PropertyType,
        member.IsDefined(typeof(ImmutableAttribute), inherit: false));

    /// <summary>The compiler gives a positional record a Deconstruct method with one parameter for each position.</summary>
    private static ParameterInfo[] PositionalParameters(Type type)
    {
        foreach (MethodInfo method in type.GetMethods(Declared))
        {
            if (method.Name != "Deconstruct" || !method.IsDefined(typeof(CompilerGeneratedAttribute)))
            {
                continue;
            }

            ParameterInfo[] outs = method.GetParameters();
            foreach (ConstructorInfo constructor in type.GetConstructors(Declared))
            {
                ParameterInfo[] parameters = constructor.GetParameters();
                if (parameters.Length == outs.Length
                    && parameters.Zip(outs).All(p => p.First.Name == p.Second.Name && p.First.ParameterType == p.Second.ParameterType.GetElementType()))
                {
                    return parameters;
                }
            }
        }

        return [];
    }

    private static PropertyInfo PropertyOf(Type type, ParameterInfo parameter)
    {
        for (Type? level = type; level is not null; level = level.BaseType)
        {
            if (level.GetProperty(parameter.Name!, Declared) is { } property)
            {
                return property;
            }
        }

        throw new CodecNotFoundException($"Parameter {parameter.Name} of record {type} has no property to read it from.");
    }
}
