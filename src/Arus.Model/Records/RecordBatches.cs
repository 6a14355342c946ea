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
    /// Takes the only batch of what a producer sends for a partition. Bytes behind it that are no whole batch are left out.
    /// </summary>
    /// <param name="records">What was sent; afterwards exactly the batch, or unchanged on failure.</param>
    /// <returns><see cref="ErrorCode.InvalidRecord"/> for none, for more than one, and for an older format;
    /// <see cref="ErrorCode.CorruptMessage"/> where no batch can begin.</returns>
    public static ValidationResult TakeOnly(ref ReadOnlyMemory<byte> records)
    {
        ValidationResult problem = MeasureSent(records.Span, out int size);
        if (!problem.IsOk)
            return problem;

        if (size == 0)
        {
            return ValidationResult.Invalid(records.IsEmpty
                ? "There is no record batch to append."
                : $"The batch is cut off: {records.Length} bytes were sent, and it says it has more.");
        }

        byte magic = records.Span[RecordBatchHeader.MagicAt];
        if (magic != RecordBatchHeader.CurrentMagic)
            return ValidationResult.Invalid(RefuseMagic(magic).Message!);

        problem = MeasureSent(records.Span[size..], out int next);
        if (next > 0)
            return ValidationResult.Invalid("A producer sends one record batch at a time for a partition; here is another one behind it.");

        records = problem.IsOk ? records[..size] : records;
        return problem;
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
        ValidationResult result = ValidateBytes(batch);
        return result.IsOk ? ValidateCounts(new RecordBatchHeader(batch)) : result;
    }

    /// <summary>Like <see cref="Validate"/>, but what the header says of offsets and counts is not looked at.</summary>
    public static ValidationResult ValidateBytes(ReadOnlySpan<byte> batch)
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
        return crc == header.Crc
            ? ValidationResult.Ok
            : ValidationResult.Corrupt($"The batch at offset {header.BaseOffset} has CRC-32C {crc:x8}, but says {header.Crc:x8}.");
    }

    /// <summary>Validates what stands first in a producer's batch, and what its CRC does not cover.</summary>
    public static ValidationResult ValidateBaseOffset(ReadOnlySpan<byte> batch) =>
        BinaryPrimitives.ReadInt64BigEndian(batch) is var baseOffset and not 0
            ? ValidationResult.Invalid($"The batch has base offset {baseOffset}; a producer's batches begin at 0.")
            : ValidationResult.Ok;

    /// <summary>
    /// Validates what a leader requires of the header of a producer's batch besides <see cref="ValidateBytes"/>: consecutive offsets,
    /// no control batch, a sequence with a producer id, a known codec.
    /// </summary>
    public static ValidationResult ValidateForAppend(RecordBatchHeader header)
    {
        if (header.Count <= 0)
            return ValidationResult.Invalid($"The batch says {header.Count} records; a producer's batch has at least one.");

        if (header.Count != (long)header.LastOffsetDelta + 1)
        {
            return ValidationResult.Invalid(
                $"The batch has {header.Count} records, but its last offset delta is {header.LastOffsetDelta}, not {header.Count - 1}.");
        }

        if (header.IsControl)
            return ValidationResult.Invalid("Producers may not write control batches.");

        if (header.HasProducerId && header.BaseSequence < 0)
        {
            return ValidationResult.Invalid(
                $"Producer {header.ProducerId} sent sequence {header.BaseSequence}; sequences are 0 or more.");
        }

        if (header.IsTransactional && !header.HasProducerId)
            return ValidationResult.Invalid("A transactional batch needs a producer id.");

        return header.Compression <= CompressionType.Zstd
            ? ValidationResult.Ok
            : new ValidationResult(ErrorCode.UnsupportedCompressionType, $"Compression type {(int)header.Compression} is not known.");
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
    public static void SetLogAppendTime(Span<byte> batch, long timestampMs) =>
        SetTimestamp(batch, RecordBatchAttributes.LogAppendTime, timestampMs);

    /// <summary>Sets timestamp type <see cref="TimestampType.CreateTime"/> and the maximum timestamp, and updates the CRC.</summary>
    /// <param name="batch">Exactly one batch.</param>
    /// <param name="timestampMs">The maximum timestamp of its records, Unix milliseconds.</param>
    public static void SetCreateTime(Span<byte> batch, long timestampMs) => SetTimestamp(batch, RecordBatchAttributes.None, timestampMs);

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

    /// <summary>The size of the whole batch at the front of a producer's bytes; 0 when they end before it does.</summary>
    private static ValidationResult MeasureSent(ReadOnlySpan<byte> bytes, out int size)
    {
        const int MinLength = 14; // Of the oldest format: a shorter one is none at all.
        size = 0;
        if (bytes.Length < RecordBatchHeader.LogOverhead)
            return ValidationResult.Ok;

        int length = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchHeader.LengthAt..]);
        if (length < MinLength)
            return ValidationResult.Corrupt($"The batch length is {length}; no record batch is shorter than 49.");

        if (bytes.Length > RecordBatchHeader.MagicAt && bytes[RecordBatchHeader.MagicAt] > RecordBatchHeader.CurrentMagic)
            return RefuseMagic(bytes[RecordBatchHeader.MagicAt]);

        size = bytes.Length - RecordBatchHeader.LogOverhead >= length ? length + RecordBatchHeader.LogOverhead : 0;
        return ValidationResult.Ok;
    }

    private static void SetTimestamp(Span<byte> batch, RecordBatchAttributes type, long timestampMs)
    {
        // Bits that mean nothing do not stay when attributes are written.
        RecordBatchAttributes kept =
            new RecordBatchHeader(batch).Attributes & RecordBatchAttributes.Known & ~RecordBatchAttributes.LogAppendTime;
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.AttributesAt..], (short)(kept | type));
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..], timestampMs);
        WriteCrc(batch);
    }

    private static ValidationResult RefuseMagic(byte magic) => magic switch
    {
        0 or 1 => new ValidationResult(
            ErrorCode.UnsupportedForMessageFormat,
            $"Message format v{magic} (magic {magic}) is not supported; produce record batches of magic 2 (Kafka clients 0.11 and later)."),
        _ => ValidationResult.Corrupt($"Magic {magic} is not a message format; 2 was expected."),
    };
}
