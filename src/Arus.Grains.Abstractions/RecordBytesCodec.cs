using System.Buffers;
using System.Numerics;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.Serializers;
using Orleans.Serialization.WireProtocol;

namespace Arus.Grains;

/// <summary>
/// Carries <see cref="RecordBytes"/> between processes: the number of segments, the length of each, then the bytes, in one
/// length-prefixed field that a reader without this codec can skip. Bytes are copied in blocks as large as the buffers of the connection
/// are; Orleans' own codec for <see cref="ReadOnlyMemory{T}"/> clears every array before it fills it, and keeps a reference to it.
/// </summary>
[RegisterSerializer]
public sealed class RecordBytesCodec : IFieldCodec<RecordBytes>
{
    /// <summary>More than any append or read has; so a few bytes cannot ask for a large array.</summary>
    internal const int MaxSegments = 65_536;

    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, RecordBytes value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(RecordBytes), WireType.LengthPrefixed);
        ReadOnlyMemory<byte>[] segments = value.Segments;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(segments.Length, MaxSegments);
        long size = SizeOfVarUInt((uint)segments.Length) + value.SizeInBytes;
        foreach (ReadOnlyMemory<byte> segment in segments)
            size += SizeOfVarUInt((uint)segment.Length);

        writer.WriteVarUInt32(checked((uint)size));
        writer.WriteVarUInt32((uint)segments.Length);
        foreach (ReadOnlyMemory<byte> segment in segments)
            writer.WriteVarUInt32((uint)segment.Length);

        foreach (ReadOnlyMemory<byte> segment in segments)
            writer.Write(segment.Span);
    }

    /// <exception cref="InvalidDataException">A length is larger than what follows it. Nothing is allocated for such a length.</exception>
    public RecordBytes ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        field.EnsureWireType(WireType.LengthPrefixed);
        uint size = reader.ReadVarUInt32();
        long end = reader.Position + Bounded(size, reader.Remaining);

        // A segment takes at least the byte that holds its length.
        var segments = new ReadOnlyMemory<byte>[Bounded(reader.ReadVarUInt32(), Math.Min(end - reader.Position, MaxSegments))];
        int[] lengths = new int[segments.Length];
        for (int i = 0; i < lengths.Length; i++)
            lengths[i] = Bounded(reader.ReadVarUInt32(), end - reader.Position);

        for (int i = 0; i < segments.Length; i++)
        {
            byte[] segment = GC.AllocateUninitializedArray<byte>(Bounded((uint)lengths[i], end - reader.Position));
            reader.ReadBytes(segment.AsSpan());
            segments[i] = segment;
        }

        return reader.Position == end
            ? new RecordBytes(segments)
            : throw new InvalidDataException($"Record bytes end {end - reader.Position} bytes before their field does.");
    }

    private static int Bounded(uint length, long left) => length <= left
        ? (int)length
        : throw new InvalidDataException($"Record bytes have a length of {length}, and only {left} bytes follow.");

    private static int SizeOfVarUInt(uint value) => (BitOperations.Log2(value | 1) / 7) + 1;
}

/// <summary>Nothing is copied inside a silo: nobody writes to the memory of a message.</summary>
[RegisterCopier]
public sealed class RecordBytesCopier : ShallowCopier<RecordBytes>;
