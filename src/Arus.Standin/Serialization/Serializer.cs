using System.Buffers;

namespace Orleans.Serialization;

/// <summary>Turns values of serializable types into bytes and back. Thread-safe.</summary>
public sealed class Serializer
{
    private readonly CodecProvider _codecs;

    internal Serializer(CodecProvider codecs) => _codecs = codecs;

    /// <summary>Whether values of the type can be serialized.</summary>
    public bool CanSerialize<T>() => CanSerialize(typeof(T));

    /// <inheritdoc cref="CanSerialize{T}"/>
    public bool CanSerialize(Type type) => _codecs.TryGet(type, out _);

    /// <exception cref="SerializerException">A type within the value is not serializable.</exception>
    public byte[] SerializeToArray<T>(T value)
    {
        using var writer = new WireWriter();
        _codecs.Get<T>().Write(writer, value);
        return writer.WrittenSpan.ToArray();
    }

    /// <inheritdoc cref="SerializeToArray{T}"/>
    public void Serialize<T, TBufferWriter>(T value, TBufferWriter destination) where TBufferWriter : IBufferWriter<byte>
    {
        using var writer = new WireWriter();
        _codecs.Get<T>().Write(writer, value);
        destination.Write(writer.WrittenSpan);
    }

    /// <exception cref="SerializerException">The input is not what serializing a <typeparamref name="T"/> gives.</exception>
    public T Deserialize<T>(byte[] source) => Deserialize<T>(source.AsMemory());

    /// <inheritdoc cref="Deserialize{T}(byte[])"/>
    public T Deserialize<T>(ReadOnlyMemory<byte> source)
    {
        var reader = new WireReader();
        reader.Reset(source, sliceable: false);
        T value = _codecs.Get<T>().Read(reader);
        return reader.Remaining == 0 ? value : throw reader.Corrupt($"{reader.Remaining} bytes are left over after the value");
    }

    /// <inheritdoc cref="Deserialize{T}(byte[])"/>
    public T Deserialize<T>(ReadOnlySequence<byte> source) => Deserialize<T>(source.IsSingleSegment ? source.First : source.ToArray());
}

/// <summary>Copies values as a call within one silo does. Thread-safe.</summary>
public sealed class DeepCopier
{
    private readonly CodecProvider _codecs;

    internal DeepCopier(CodecProvider codecs) => _codecs = codecs;

    /// <summary>A copy that shares nothing changeable with <paramref name="value"/>, except what is declared immutable.</summary>
    public T Copy<T>(T value) => _codecs.Get<T>().Copy(value);
}
