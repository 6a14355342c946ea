using System.Buffers.Binary;

namespace Arus;

/// <summary>What <see cref="RecordBatches.TryReadNext"/> found.</summary>
public enum BatchReadStatus
{
    /// <summary>A whole batch, of the right length; its contents are not checked yet.</summary>
    Batch,

    /// <summary>The buffer ends within a batch, or is empty. Nothing was consumed.</summary>
    Incomplete,

    /// <summary>No batch can begin here. Nothing was consumed.</summary>
    Invalid,
}

/// <summary>Record batches as bytes: splitting, validating, and the fields that a leader writes in place. All methods are pure.</summary>
public static class RecordBatches
{
    /// <summary>The maximum batch size in bytes where none is configured.</summary>
    public const int MaxSizeLimit = int.MaxValue - 64;

    /// <summary>Takes the next batch off the front of <paramref name="buffer"/>.</summary>
    /// <param name="buffer">Begins at a batch.</param>
    /// <param name="maxBatchSize">A longer batch, in bytes, is <see cref="BatchReadStatus.Invalid"/>.</param>
    /// <param name="batch">The whole batch; empty unless the result is <see cref="BatchReadStatus.Batch"/>.</param>
    /// <param name="problem">Set when the result is <see cref="BatchReadStatus.Invalid"/>.</param>
    public static BatchReadStatus TryReadNext(
        ref ReadOnlyMemory<byte> buffer, int maxBatchSize, out ReadOnlyMemory<byte> batch, out ValidationResult problem)
    {
        BatchReadStatus status = FindEnd(buffer.Span, maxBatchSize, out int size, out problem);
        batch = buffer[..size];
        buffer = buffer[size..];
        return status;
    }

    /// <summary>
    /// Validates the header and the CRC-32C of a whole batch, not its records. A valid batch is intact; whether a producer may
    /// append it, <see cref="ValidateForAppend"/> decides.
    /// </summary>
    /// <param name="batch">Exactly one batch.</param>
    /// <returns><see cref="ErrorCode.CorruptMessage"/> for bytes that do not fit together,
    /// <see cref="ErrorCode.UnsupportedForMessageFormat"/> for magic 0 and 1.</returns>
    public static ValidationResult Validate(ReadOnlySpan<byte> batch)
    {
        if (batch.Length < RecordBatchHeader.Size)
        {
            return batch.Length > RecordBatchHeader.MagicAt && batch[RecordBatchHeader.MagicAt] != RecordBatchHeader.CurrentMagic
                ? RefuseMagic(batch[RecordBatchHeader.MagicAt])
                : ValidationResult.Corrupt($"A record batch has at least {RecordBatchHeader.Size} bytes; this one has {batch.Length}.");
        }

        var header = new RecordBatchHeader(batch);
        if (header.Magic != RecordBatchHeader.CurrentMagic)
            return RefuseMagic(header.Magic);

        if (header.Length != batch.Length - RecordBatchHeader.LogOverhead)
        {
            return ValidationResult.Corrupt(
                $"The batch length is {header.Length}, but {batch.Length - RecordBatchHeader.LogOverhead} bytes follow it.");
        }

        uint crc = ComputeCrc(batch);
        if (crc != header.Crc)
            return ValidationResult.Corrupt($"The batch at offset {header.BaseOffset} has CRC-32C {crc:x8}, but says {header.Crc:x8}.");

        return ValidateCounts(header);
    }

    /// <summary>
    /// Validates what a leader requires of a producer's batch besides <see cref="Validate"/>: consecutive offsets, a known codec,
    /// no control batch.
    /// </summary>
    public static ValidationResult ValidateForAppend(RecordBatchHeader header)
    {
        if (header.Count == 0)
            return ValidationResult.Invalid("A batch of a producer has at least one record.");

        if (header.Count != header.LastOffsetDelta + 1)
        {
            return ValidationResult.Invalid(
                $"The batch has {header.Count} records, but its last offset delta is {header.LastOffsetDelta}, not {header.Count - 1}.");
        }

        if (header.Compression > CompressionType.Zstd)
            return new ValidationResult(ErrorCode.UnsupportedCompressionType, $"Compression type {(int)header.Compression} is not known.");

        if (header.IsControl)
            return ValidationResult.Invalid("Producers may not write control batches.");

        if (header.IsTransactional && !header.HasProducerId)
            return ValidationResult.Invalid("A transactional batch needs a producer id.");

        return header.HasProducerId && (header.ProducerId < 0 || header.ProducerEpoch < 0 || header.BaseSequence < 0)
            ? ValidationResult.Invalid(
                $"Producer id {header.ProducerId}, epoch {header.ProducerEpoch} and sequence {header.BaseSequence} must be 0 or more.")
            : ValidationResult.Ok;
    }

    /// <summary>The CRC-32C of what a batch's CRC covers: from the attributes to the end.</summary>
    public static uint ComputeCrc(ReadOnlySpan<byte> batch) => Crc32C.Compute(batch[RecordBatchHeader.AttributesAt..]);

    /// <summary>Writes the base offset, which the CRC does not cover.</summary>
    public static void SetBaseOffset(Span<byte> batch, long baseOffset) => BinaryPrimitives.WriteInt64BigEndian(batch, baseOffset);

    /// <summary>Writes the partition leader epoch, which the CRC does not cover.</summary>
    public static void SetPartitionLeaderEpoch(Span<byte> batch, int leaderEpoch) =>
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LeaderEpochAt..], leaderEpoch);

    /// <summary>Sets timestamp type <see cref="TimestampType.LogAppendTime"/> and the maximum timestamp, and updates the CRC.</summary>
    /// <param name="batch">Exactly one batch.</param>
    /// <param name="timestampMs">The leader's clock, Unix milliseconds.</param>
    public static void SetLogAppendTime(Span<byte> batch, long timestampMs)
    {
        Span<byte> attributes = batch[RecordBatchHeader.AttributesAt..];
        short bits = (short)(BinaryPrimitives.ReadInt16BigEndian(attributes) | (short)RecordBatchAttributes.LogAppendTime);
        BinaryPrimitives.WriteInt16BigEndian(attributes, bits);
        SetMaxTimestamp(batch, timestampMs);
    }

    /// <summary>Sets the maximum timestamp of a batch and updates the CRC.</summary>
    /// <param name="batch">Exactly one batch.</param>
    /// <param name="timestampMs">The maximum timestamp of its records, Unix milliseconds.</param>
    public static void SetMaxTimestamp(Span<byte> batch, long timestampMs)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..], timestampMs);
        WriteCrc(batch);
    }

    /// <summary>Sets producer id, epoch and base sequence of a built batch, and updates the CRC.</summary>
    /// <param name="batch">Exactly one batch.</param>
    public static void SetProducer(Span<byte> batch, long producerId, short producerEpoch, int baseSequence)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.ProducerIdAt..], producerId);
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.ProducerEpochAt..], producerEpoch);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.BaseSequenceAt..], baseSequence);
        WriteCrc(batch);
    }

    /// <summary>Computes the CRC and writes it into the header.</summary>
    public static void WriteCrc(Span<byte> batch) =>
        BinaryPrimitives.WriteUInt32BigEndian(batch[RecordBatchHeader.CrcAt..], ComputeCrc(batch));

    private static BatchReadStatus FindEnd(ReadOnlySpan<byte> buffer, int maxBatchSize, out int batchSize, out ValidationResult problem)
    {
        batchSize = 0;
        problem = ValidationResult.Ok;
        if (buffer.Length < RecordBatchHeader.LogOverhead)
            return BatchReadStatus.Incomplete;

        // The magic comes before the length: the length of an older format has another minimum.
        int length = BinaryPrimitives.ReadInt32BigEndian(buffer[RecordBatchHeader.LengthAt..]);
        problem = buffer.Length > RecordBatchHeader.MagicAt && buffer[RecordBatchHeader.MagicAt] != RecordBatchHeader.CurrentMagic
            ? RefuseMagic(buffer[RecordBatchHeader.MagicAt])
            : length < RecordBatchHeader.Size - RecordBatchHeader.LogOverhead
            ? ValidationResult.Corrupt($"The batch length is {length}; no record batch is shorter than 49.")
            : length > maxBatchSize - RecordBatchHeader.LogOverhead
            ? new ValidationResult(
                ErrorCode.MessageTooLarge,
                $"The batch has {(long)length + RecordBatchHeader.LogOverhead} bytes; the limit is {maxBatchSize}.")
            : ValidationResult.Ok;
        if (!problem.IsOk)
            return BatchReadStatus.Invalid;

        if (buffer.Length - RecordBatchHeader.LogOverhead < length)
            return BatchReadStatus.Incomplete;

        batchSize = length + RecordBatchHeader.LogOverhead;
        return BatchReadStatus.Batch;
    }

    private static ValidationResult ValidateCounts(RecordBatchHeader header)
    {
        if (header.BaseOffset < 0 || header.LastOffsetDelta < 0 || header.BaseOffset > long.MaxValue - header.LastOffsetDelta - 1)
        {
            return ValidationResult.Corrupt(
                $"The batch has base offset {header.BaseOffset} and last offset delta {header.LastOffsetDelta}.");
        }

        // Compaction removes records, perhaps all; but a batch never has more records than offsets.
        return header.Count < 0 || header.Count > (long)header.LastOffsetDelta + 1
            ? ValidationResult.Corrupt($"The batch says {header.Count} records, but its last offset delta is {header.LastOffsetDelta}.")
            : ValidationResult.Ok;
    }

    private static ValidationResult RefuseMagic(byte magic) => magic switch
    {
        0 or 1 => new ValidationResult(
            ErrorCode.UnsupportedForMessageFormat,
            $"Message format v{magic} (magic {magic}) is not supported; produce record batches of magic 2 (Kafka clients 0.11 and later)."),
        _ => ValidationResult.Corrupt($"Magic {magic} is not a message format; 2 was expected."),
    };
}
