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
    /// <summary>Builds a marker batch in the builder's memory, as <see cref="RecordBatchBuilder.Build"/> does.</summary>
    /// <param name="timestampMs">Unix milliseconds.</param>
    public static Memory<byte> BuildMarker(
        RecordBatchBuilder builder, ControlRecordType type, long producerId, short producerEpoch, int coordinatorEpoch, long timestampMs)
    {
        Span<byte> key = [0, 0, 0, (byte)type];
        Span<byte> value = [0, 0, 0, 0, 0, 0];
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

    /// <summary>Reads a marker batch.</summary>
    /// <param name="batch">A whole batch that was validated.</param>
    /// <returns>False for another batch, and for a marker that compaction has emptied.</returns>
    public static bool TryReadMarker(ReadOnlySpan<byte> batch, out ControlRecordType type, out int coordinatorEpoch)
    {
        (type, coordinatorEpoch) = (default, -1);
        var header = new RecordBatchHeader(batch);
        if (!header.IsControl || header.Compression != CompressionType.None || header.Count != 1)
            return false;

        var reader = new RecordReader(batch[RecordBatchHeader.Size..], 1);
        if (!reader.TryRead(out RecordView record) || record.KeyLength < 4 || record.ValueLength < 6)
            return false;

        type = (ControlRecordType)BinaryPrimitives.ReadInt16BigEndian(record.Key[2..]);
        coordinatorEpoch = BinaryPrimitives.ReadInt32BigEndian(record.Value[2..]);
        return type is ControlRecordType.Abort or ControlRecordType.Commit;
    }
}
