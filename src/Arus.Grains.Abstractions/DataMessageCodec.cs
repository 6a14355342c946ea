using System.Buffers;
using Arus.Protocol;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;

namespace Arus.Grains;

/// <summary>
/// Carries the data messages that brokers send each other: two bytes of version, then the body. As with <see cref="MessageCodec{T}"/> a
/// message is immutable once it is sent, since within a silo it is not copied.
/// </summary>
public sealed class DataMessageCodec<T> : IFieldCodec<T>, IDeepCopier<T>
    where T : class, IDataMessage<T>
{
    /// <inheritdoc/>
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, T? value)
        where TBufferWriter : IBufferWriter<byte>
    {
        if (ReferenceCodec.TryWriteReferenceField(ref writer, fieldIdDelta, expectedType, value))
            return;

        byte[] bytes = DataMessages.WriteEmbedded(value!, T.MaxVersion);
        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(T), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)bytes.Length);
        writer.Write(bytes);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">The bytes are no such message.</exception>
    public T? ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        if (field.IsReference)
            return ReferenceCodec.ReadReference<T, TInput>(ref reader, field);

        field.EnsureWireType(WireType.LengthPrefixed);
        T value = DataMessages.ReadEmbedded<T>(reader.ReadBytes(reader.ReadVarUInt32()));
        ReferenceCodec.RecordObject(reader.Session, value);
        return value;
    }

    /// <inheritdoc/>
    public T? DeepCopy(T? input, CopyContext context) => input;
}
