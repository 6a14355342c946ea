using System.Text.Json.Serialization.Metadata;

namespace Arus.Client;

/// <summary>The built-in serializers.</summary>
public static class Serializers
{
    /// <summary>UTF-8 without a byte order mark.</summary>
    public static IRecordSerializer<string> Utf8 { get; } = new Utf8Serializer();

    /// <summary>Bytes as they are; copied when read.</summary>
    public static IRecordSerializer<byte[]> Bytes { get; } = new ByteArraySerializer();

    /// <summary>Bytes as they are; not copied when read, see <see cref="IRecordSerializer{T}.Deserialize"/>.</summary>
    public static IRecordSerializer<ReadOnlyMemory<byte>> Memory { get; } = new MemorySerializer();

    /// <summary>4 bytes, big-endian, as Kafka's IntegerSerializer writes it.</summary>
    public static IRecordSerializer<int> Int32 { get; } = new Int32Serializer();

    /// <summary>8 bytes, big-endian, as Kafka's LongSerializer writes it.</summary>
    public static IRecordSerializer<long> Int64 { get; } = new Int64Serializer();

    /// <summary>
    /// JSON in UTF-8 through a source-generated context, without reflection: <c>Serializers.Json(MyContext.Default.Order)</c>.
    /// </summary>
    public static IRecordSerializer<T> Json<T>(JsonTypeInfo<T> typeInfo) => new JsonSerializerOf<T>(typeInfo);

    /// <summary>
    /// The built-in serializer of a type: string, byte[], ReadOnlyMemory&lt;byte&gt;, int, long and the last three's nullables.
    /// </summary>
    /// <exception cref="NotSupportedException">There is none; pass one, for example <see cref="Json{T}"/>.</exception>
    public static IRecordSerializer<T> Default<T>() =>
        BuiltIn<T>.Instance ?? throw new NotSupportedException(
            $"There is no built-in serializer for {typeof(T)}. Pass one, for example "
            + $"Serializers.Json(MyJsonContext.Default.{typeof(T).Name}).");

    private static class BuiltIn<T>
    {
        public static readonly IRecordSerializer<T>? Instance =
            typeof(T) == typeof(string) ? (IRecordSerializer<T>)Utf8
            : typeof(T) == typeof(byte[]) ? (IRecordSerializer<T>)Bytes
            : typeof(T) == typeof(ReadOnlyMemory<byte>) ? (IRecordSerializer<T>)Memory
            : typeof(T) == typeof(ReadOnlyMemory<byte>?)
                ? (IRecordSerializer<T>)(object)new NullableSerializer<ReadOnlyMemory<byte>>(Memory)
            : typeof(T) == typeof(int) ? (IRecordSerializer<T>)Int32
            : typeof(T) == typeof(int?) ? (IRecordSerializer<T>)(object)new NullableSerializer<int>(Int32)
            : typeof(T) == typeof(long) ? (IRecordSerializer<T>)Int64
            : typeof(T) == typeof(long?) ? (IRecordSerializer<T>)(object)new NullableSerializer<long>(Int64)
            : null;
    }
}
