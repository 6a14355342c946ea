using System.Buffers.Binary;

namespace Arus.Compression;

/// <summary>The type of a control record (Kafka's <c>ControlRecordType</c>).</summary>
public enum ControlRecordType : short
{
    Abort = 0,
    Commit = 1,
}

/// <summary>
/// Transaction markers: a control batch with one record. Its key is version and type, 2 bytes each; its value is a version of
/// 2 bytes and the coordinator's epoch of 4.
/// </summary>
public static class ControlRecord
{
    public const int KeySize = 4;
    public const int ValueSize = 6;

    /// <summary>Builds a marker batch in the builder's memory, as <see cref="RecordBatchBuilder.Build"/> does.</summary>
    /// <param name="timestampMs">Unix milliseconds.</param>
    public static Memory<byte> BuildMarker(
        RecordBatchBuilder builder, ControlRecordType type, long producerId, short producerEpoch, int coordinatorEpoch, long timestampMs)
    {
        Span<byte> key = stackalloc byte[KeySize];
        BinaryPrimitives.WriteInt16BigEndian(key, 0);
        BinaryPrimitives.WriteInt16BigEndian(key[2..], (short)type);
        Span<byte> value = stackalloc byte[ValueSize];
        BinaryPrimitives.WriteInt16BigEndian(value, 0);
        BinaryPrimitives.WriteInt32BigEndian(value[2..], coordinatorEpoch);
        builder.Reset();
        builder.Append(timestampMs, key, isKeyNull: false, value, isValueNull: false);
        return builder.Build(new RecordBatchOptions
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            IsTransactional = true,
            IsControl = true,
        });
    }

    /// <summary>
    /// Reads the type from a control record's key; false for a key that is too short or has a negative version. A type that is not
    /// known is returned as its number.
    /// </summary>
    public static bool TryReadType(ReadOnlySpan<byte> key, out ControlRecordType type)
    {
        bool known = key.Length >= KeySize && BinaryPrimitives.ReadInt16BigEndian(key) >= 0;
        type = known ? (ControlRecordType)BinaryPrimitives.ReadInt16BigEndian(key[2..]) : default;
        return known;
    }

    /// <summary>Reads the coordinator's epoch from a marker's value.</summary>
    public static bool TryReadCoordinatorEpoch(ReadOnlySpan<byte> value, out int coordinatorEpoch)
    {
        bool known = value.Length >= ValueSize && BinaryPrimitives.ReadInt16BigEndian(value) >= 0;
        coordinatorEpoch = known ? BinaryPrimitives.ReadInt32BigEndian(value[2..]) : default;
        return known;
    }
}
