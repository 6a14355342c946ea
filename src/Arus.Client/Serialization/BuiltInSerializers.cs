using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Arus.Client;

internal sealed class Utf8Serializer : IRecordSerializer<string>
{
    public void Serialize(string value, IBufferWriter<byte> destination) => Encoding.UTF8.GetBytes(value, destination);

    public string Deserialize(ReadOnlyMemory<byte> data) => Encoding.UTF8.GetString(data.Span);
}

internal sealed class ByteArraySerializer : IRecordSerializer<byte[]>
{
    public void Serialize(byte[] value, IBufferWriter<byte> destination) => destination.Write(value);

    public byte[] Deserialize(ReadOnlyMemory<byte> data) => data.ToArray();
}

internal sealed class MemorySerializer : IRecordSerializer<ReadOnlyMemory<byte>>
{
    public void Serialize(ReadOnlyMemory<byte> value, IBufferWriter<byte> destination) => destination.Write(value.Span);

    public ReadOnlyMemory<byte> Deserialize(ReadOnlyMemory<byte> data) => data;
}

internal sealed class Int32Serializer : IRecordSerializer<int>
{
    public void Serialize(int value, IBufferWriter<byte> destination)
    {
        BinaryPrimitives.WriteInt32BigEndian(destination.GetSpan(sizeof(int)), value);
        destination.Advance(sizeof(int));
    }

    public int Deserialize(ReadOnlyMemory<byte> data) => data.Length == sizeof(int)
        ? BinaryPrimitives.ReadInt32BigEndian(data.Span)
        : throw new FormatException($"An int has 4 bytes; this has {data.Length}.");
}

internal sealed class Int64Serializer : IRecordSerializer<long>
{
    public void Serialize(long value, IBufferWriter<byte> destination)
    {
        BinaryPrimitives.WriteInt64BigEndian(destination.GetSpan(sizeof(long)), value);
        destination.Advance(sizeof(long));
    }

    public long Deserialize(ReadOnlyMemory<byte> data) => data.Length == sizeof(long)
        ? BinaryPrimitives.ReadInt64BigEndian(data.Span)
        : throw new FormatException($"A long has 8 bytes; this has {data.Length}.");
}

internal sealed class NullableSerializer<T>(IRecordSerializer<T> inner) : IRecordSerializer<T?> where T : struct
{
    public void Serialize(T? value, IBufferWriter<byte> destination) => inner.Serialize(value.GetValueOrDefault(), destination);

    public T? Deserialize(ReadOnlyMemory<byte> data) => inner.Deserialize(data);
}

internal sealed class JsonSerializerOf<T>(JsonTypeInfo<T> typeInfo) : IRecordSerializer<T>
{
    public void Serialize(T value, IBufferWriter<byte> destination)
    {
        using var writer = new Utf8JsonWriter(destination, new JsonWriterOptions { SkipValidation = true });
        JsonSerializer.Serialize(writer, value, typeInfo);
    }

    public T Deserialize(ReadOnlyMemory<byte> data) => JsonSerializer.Deserialize(data.Span, typeInfo)!;
}
