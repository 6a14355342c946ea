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
        where TBufferWriter : IBufferWriter<byte> =>
        WriteField(ref writer, fieldIdDelta, expectedType, typeof(RecordBytes), value);

    /// <param name="type">Of the value that holds the bytes.</param>
    internal static void WriteField<TBufferWriter>(
        ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, Type type, RecordBytes value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType, type, WireType.LengthPrefixed);
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
        int[] lengths = ReadLengths(ref reader, field, out long end);
        var segments = new ReadOnlyMemory<byte>[lengths.Length];
        for (int i = 0; i < segments.Length; i++)
        {
            byte[] segment = GC.AllocateUninitializedArray<byte>(Bounded((uint)lengths[i], end - reader.Position));
            reader.ReadBytes(segment.AsSpan());
            segments[i] = segment;
        }

        CheckEnd(end - reader.Position);
        return new RecordBytes(segments);
    }

    /// <summary>As <see cref="ReadValue"/>, but all segments lie in one array of the pool, which is the caller's to return.</summary>
    internal static RecordBytes ReadPooled<TInput>(ref Reader<TInput> reader, Field field, out byte[] pooled)
    {
        int[] lengths = ReadLengths(ref reader, field, out long end);
        long size = 0;
        foreach (int length in lengths)
            size += length;

        pooled = ArrayPool<byte>.Shared.Rent(Bounded(size, end - reader.Position));
        reader.ReadBytes(pooled.AsSpan(0, (int)size));
        CheckEnd(end - reader.Position);
        var segments = new ReadOnlyMemory<byte>[lengths.Length];
        int at = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            segments[i] = pooled.AsMemory(at, lengths[i]);
            at += lengths[i];
        }

        return new RecordBytes(segments);
    }

    /// <param name="end">The reader's position behind the field.</param>
    private static int[] ReadLengths<TInput>(ref Reader<TInput> reader, Field field, out long end)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        field.EnsureWireType(WireType.LengthPrefixed);
        uint size = reader.ReadVarUInt32();
        end = reader.Position + Bounded(size, reader.Remaining);

        // A segment takes at least the byte that holds its length.
        int[] lengths = new int[Bounded(reader.ReadVarUInt32(), Math.Min(end - reader.Position, MaxSegments))];
        for (int i = 0; i < lengths.Length; i++)
            lengths[i] = Bounded(reader.ReadVarUInt32(), end - reader.Position);

        return lengths;
    }

    private static void CheckEnd(long left)
    {
        if (left != 0)
            throw new InvalidDataException($"Record bytes end {left} bytes before their field does.");
    }

    private static int Bounded(long length, long left) => length <= left
        ? (int)length
        : throw new InvalidDataException($"Record bytes have a length of {length}, and only {left} bytes follow.");

    private static int SizeOfVarUInt(uint value) => (BitOperations.Log2(value | 1) / 7) + 1;
}

/// <summary>Nothing is copied inside a silo: nobody writes to the memory of a message.</summary>
[RegisterCopier]
public sealed class RecordBytesCopier : ShallowCopier<RecordBytes>;
