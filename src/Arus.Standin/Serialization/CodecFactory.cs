using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.CompilerServices;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>Chooses the codec that suits a type.</summary>
internal static class CodecFactory
{
    private static readonly Dictionary<Type, Type> _genericCodecs = new()
    {
        [typeof(Nullable<>)] = typeof(NullableCodec<>),
        [typeof(List<>)] = typeof(ListCodec<>),
        [typeof(HashSet<>)] = typeof(HashSetCodec<>),
        [typeof(Queue<>)] = typeof(QueueCodec<>),
        [typeof(Dictionary<,>)] = typeof(DictionaryCodec<,>),
        [typeof(ImmutableArray<>)] = typeof(ImmutableArrayCodec<>),
        [typeof(Immutable<>)] = typeof(ImmutableCodec<>),
    };

    /// <summary>The codec of <paramref name="type"/>, not built yet if it is an <see cref="IBuiltCodec"/>.</summary>
    public static Codec Create(Type type, CodecProvider provider, Converters converters)
    {
        if (PrimitiveCodecs.Find(type) is { } primitive)
        {
            return primitive;
        }

        if (type.IsEnum)
        {
            return Make(typeof(EnumCodec<>), type);
        }

        if (type.IsSZArray)
        {
            return Make(typeof(ArrayCodec<>), type.GetElementType()!);
        }

        if (type.IsConstructedGenericType && _genericCodecs.TryGetValue(type.GetGenericTypeDefinition(), out Type? generic))
        {
            return Make(generic, type.GetGenericArguments());
        }

        if (typeof(Exception).IsAssignableFrom(type))
        {
            return Make(typeof(ExceptionCodec<>), type);
        }

        return CreateForObject(type, provider, converters);
    }

    private static Codec CreateForObject(Type type, CodecProvider provider, Converters converters)
    {
        if (converters.TryFind(type, out (Type Converter, Type Surrogate) found))
        {
            return (Codec)Activator.CreateInstance(
                typeof(ConverterCodec<,>).MakeGenericType(type, found.Surrogate), Activator.CreateInstance(found.Converter))!;
        }

        if (type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false) && !type.IsAbstract && !type.IsInterface)
        {
            return Make(type.IsValueType ? typeof(StructCodec<>) : typeof(ObjectCodec<>), type);
        }

        if (typeof(ITuple).IsAssignableFrom(type) && type.Namespace == nameof(System))
        {
            return Make(type.IsValueType ? typeof(StructCodec<>) : typeof(ObjectCodec<>), type);
        }

        if (type.IsConstructedGenericType && type.GetGenericTypeDefinition() == typeof(KeyValuePair<,>))
        {
            return Make(typeof(StructCodec<>), type);
        }

        if (typeof(IAddressable).IsAssignableFrom(type))
        {
            return Make(typeof(ReferenceCodec<>), type);
        }

        return type == typeof(object) || type.IsAbstract || type.IsInterface
            ? Make(typeof(AbstractCodec<>), type)
            : throw new CodecNotFoundException(
                $"Type {type} cannot be serialized: put [GenerateSerializer] on it and [Id(n)] on its members, "
                + $"or register a surrogate with [RegisterConverter].");
    }

    private static Codec Make(Type definition, params Type[] arguments)
    {
        try
        {
            return (Codec)Activator.CreateInstance(definition.MakeGenericType(arguments))!;
        }
        catch (TargetInvocationException failed) when (failed.InnerException is CodecNotFoundException missing)
        {
            throw new CodecNotFoundException(missing.Message);
        }
    }
}
