using System.Buffers;
using System.Numerics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Arus.Client;

/// <summary>
/// Turns keys or values into bytes and back. Implementations are safe for concurrent use. Null never reaches them: a null key or
/// value is a null on the log, and comes back as <c>default</c>.
/// </summary>
public interface IRecordSerializer<T>
{
    /// <summary>Writes <paramref name="value"/> to <paramref name="destination"/>.</summary>
    void Serialize(T value, IBufferWriter<byte> destination);

    /// <summary>Reads a value.</summary>
    /// <param name="data">Valid for good, so it may be kept: it is a slice of what was fetched, and keeps all of that in memory.</param>
    T Deserialize(ReadOnlyMemory<byte> data);
}

/// <summary>The built-in serializers.</summary>
public static class Serializers
{
    /// <summary>UTF-8 without a byte order mark.</summary>
    public static IRecordSerializer<string> Utf8 { get; } = new DelegateSerializer<string>(
        (value, destination) => Encoding.UTF8.GetBytes(value, destination), data => Encoding.UTF8.GetString(data.Span));

    /// <summary>Bytes as they are; copied when read.</summary>
    public static IRecordSerializer<byte[]> Bytes { get; } = new DelegateSerializer<byte[]>(
        (value, destination) => destination.Write(value), data => data.ToArray());

    /// <summary>Bytes as they are; not copied when read, see <see cref="IRecordSerializer{T}.Deserialize"/>.</summary>
    public static IRecordSerializer<ReadOnlyMemory<byte>> Memory { get; } = new DelegateSerializer<ReadOnlyMemory<byte>>(
        (value, destination) => destination.Write(value.Span), data => data);

    /// <summary>4 bytes, big-endian, as Kafka's IntegerSerializer writes it.</summary>
    public static IRecordSerializer<int> Int32 { get; } = BigEndian<int>("An int");

    /// <summary>8 bytes, big-endian, as Kafka's LongSerializer writes it.</summary>
    public static IRecordSerializer<long> Int64 { get; } = BigEndian<long>("A long");

    // Initialized in the order of the text: after what it lists.
    private static readonly object[] BuiltIn =
        [Utf8, Bytes, Memory, Nullable(Memory), Int32, Nullable(Int32), Int64, Nullable(Int64)];

    /// <summary>UTF-8 JSON through a source-generated context, not reflection: <c>Serializers.Json(MyContext.Default.Order)</c>.</summary>
    public static IRecordSerializer<T> Json<T>(JsonTypeInfo<T> typeInfo) => new DelegateSerializer<T>(
        (value, destination) =>
        {
            using var writer = new Utf8JsonWriter(destination, new JsonWriterOptions { SkipValidation = true });
            JsonSerializer.Serialize(writer, value, typeInfo);
        },
        data => JsonSerializer.Deserialize(data.Span, typeInfo)!);

    /// <summary>The built-in one of a type: string, byte[], ReadOnlyMemory&lt;byte&gt;, int, long, nullables of the last three.</summary>
    /// <exception cref="NotSupportedException">There is none; pass one, for example <see cref="Json{T}"/>.</exception>
    public static IRecordSerializer<T> Default<T>() =>
        BuiltIn.OfType<IRecordSerializer<T>>().FirstOrDefault() ?? throw new NotSupportedException(
            $"There is no built-in serializer for {typeof(T)}. Pass one, for example "
            + $"Serializers.Json(MyJsonContext.Default.{typeof(T).Name}).");

    private static DelegateSerializer<T> BigEndian<T>(string name) where T : struct, IBinaryInteger<T> => new(
        (value, destination) => destination.Advance(value.WriteBigEndian(destination.GetSpan(value.GetByteCount()))),
        data => data.Length == T.Zero.GetByteCount()
            ? T.ReadBigEndian(data.Span, isUnsigned: false)
            : throw new FormatException($"{name} has {T.Zero.GetByteCount()} bytes; this has {data.Length}."));

    private static DelegateSerializer<T?> Nullable<T>(IRecordSerializer<T> inner) where T : struct =>
        new((value, destination) => inner.Serialize(value.GetValueOrDefault(), destination), data => inner.Deserialize(data));

    private sealed class DelegateSerializer<T>(Action<T, IBufferWriter<byte>> write, Func<ReadOnlyMemory<byte>, T> read)
        : IRecordSerializer<T>
    {
        public void Serialize(T value, IBufferWriter<byte> destination) => write(value, destination);

        public T Deserialize(ReadOnlyMemory<byte> data) => read(data);
    }
}
