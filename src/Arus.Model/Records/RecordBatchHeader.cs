using System.Buffers.Binary;

namespace Arus;

/// <summary>
/// A view of the 61 header bytes of a record batch, magic 2 (Kafka's message format page, "Record Batch"). It reads fields in place
/// and checks nothing; <see cref="RecordBatches"/> validates.
/// </summary>
public readonly ref struct RecordBatchHeader
{
    /// <summary>Bytes before the first record.</summary>
    public const int Size = 61;

    /// <summary>Bytes that the batch length does not count: base offset and the length itself.</summary>
    public const int LogOverhead = 12;

    /// <summary>The only magic that Arus stores.</summary>
    public const byte CurrentMagic = 2;

    public const long NoProducerId = -1;
    public const short NoProducerEpoch = -1;
    public const int NoSequence = -1;
    public const long NoTimestamp = -1;
    public const int NoLeaderEpoch = -1;

    internal const int LengthAt = 8;
    internal const int LeaderEpochAt = 12;
    internal const int MagicAt = 16;
    internal const int CrcAt = 17;
    internal const int AttributesAt = 21;
    internal const int LastOffsetDeltaAt = 23;
    internal const int BaseTimestampAt = 27;
    internal const int MaxTimestampAt = 35;
    internal const int ProducerIdAt = 43;
    internal const int ProducerEpochAt = 51;
    internal const int BaseSequenceAt = 53;
    internal const int CountAt = 57;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <summary>A view of a batch, or of its first 61 bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 61 bytes.</exception>
    public RecordBatchHeader(ReadOnlySpan<byte> batch) => _bytes = batch[..Size];

    public long BaseOffset => BinaryPrimitives.ReadInt64BigEndian(_bytes);

    /// <summary>The batch length field: bytes after itself, so 12 fewer than <see cref="SizeInBytes"/>.</summary>
    public int Length => BinaryPrimitives.ReadInt32BigEndian(_bytes[LengthAt..]);

    /// <summary>The whole batch, header and records.</summary>
    public int SizeInBytes => Length + LogOverhead;

    public int PartitionLeaderEpoch => BinaryPrimitives.ReadInt32BigEndian(_bytes[LeaderEpochAt..]);

    public byte Magic => _bytes[MagicAt];

    /// <summary>CRC-32C of everything from the attributes to the end of the batch.</summary>
    public uint Crc => BinaryPrimitives.ReadUInt32BigEndian(_bytes[CrcAt..]);

    public RecordBatchAttributes Attributes => (RecordBatchAttributes)BinaryPrimitives.ReadInt16BigEndian(_bytes[AttributesAt..]);

    /// <summary>May be a number that is no known codec in a batch that was not validated.</summary>
    public CompressionType Compression => (CompressionType)(Attributes & RecordBatchAttributes.CompressionMask);

    public TimestampType TimestampType =>
        (Attributes & RecordBatchAttributes.LogAppendTime) == 0 ? TimestampType.CreateTime : TimestampType.LogAppendTime;

    public bool IsTransactional => (Attributes & RecordBatchAttributes.Transactional) != 0;

    public bool IsControl => (Attributes & RecordBatchAttributes.Control) != 0;

    public bool HasDeleteHorizon => (Attributes & RecordBatchAttributes.DeleteHorizon) != 0;

    public int LastOffsetDelta => BinaryPrimitives.ReadInt32BigEndian(_bytes[LastOffsetDeltaAt..]);

    public long LastOffset => BaseOffset + LastOffsetDelta;

    /// <summary>The offset after this batch; compaction keeps it though it removes records.</summary>
    public long NextOffset => LastOffset + 1;

    /// <summary>Unix milliseconds; records have timestamps relative to it.</summary>
    public long BaseTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[BaseTimestampAt..]);

    /// <summary>Unix milliseconds.</summary>
    public long MaxTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[MaxTimestampAt..]);

    /// <summary>-1 for a producer that is not idempotent.</summary>
    public long ProducerId => BinaryPrimitives.ReadInt64BigEndian(_bytes[ProducerIdAt..]);

    public short ProducerEpoch => BinaryPrimitives.ReadInt16BigEndian(_bytes[ProducerEpochAt..]);

    /// <summary>The sequence of the first record; -1 without a producer id.</summary>
    public int BaseSequence => BinaryPrimitives.ReadInt32BigEndian(_bytes[BaseSequenceAt..]);

    /// <summary>The sequence of the last record; sequences wrap from 2^31 - 1 to 0.</summary>
    public int LastSequence => BaseSequence < 0 ? NoSequence : ProducerSequence.Add(BaseSequence, LastOffsetDelta);

    /// <summary>Every id below 0 is none.</summary>
    public bool HasProducerId => ProducerId >= 0;

    /// <summary>The number of records.</summary>
    public int Count => BinaryPrimitives.ReadInt32BigEndian(_bytes[CountAt..]);
}

/// <summary>Sequence numbers of idempotent producers: 0 to 2^31 - 1, then 0 again.</summary>
public static class ProducerSequence
{
    public static int Add(int sequence, int increment) => (int)(((long)sequence + increment) & int.MaxValue);
}
