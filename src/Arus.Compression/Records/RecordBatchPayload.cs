namespace Arus.Compression;

/// <summary>The records of a batch, uncompressed, for a <see cref="RecordReader"/>.</summary>
public static class RecordBatchPayload
{
    /// <summary>The decompressed size limit of a batch where the caller sets none.</summary>
    public const int DefaultMaxBytes = 256 * 1024 * 1024;

    /// <summary>
    /// Opens a batch: the payload is a slice of it when it is not compressed, otherwise of <paramref name="scratch"/>, which is
    /// cleared first, and valid until the next use of that.
    /// </summary>
    /// <param name="batch">A batch that passed <see cref="RecordBatches.Validate"/>.</param>
    /// <param name="scratch">Receives the decompressed records; untouched when the batch is not compressed.</param>
    /// <param name="maxBytes">Decompression fails beyond it, so that a small batch cannot exhaust the memory.</param>
    /// <returns><see cref="ErrorCode.CorruptMessage"/>, <see cref="ErrorCode.MessageTooLarge"/> beyond <paramref name="maxBytes"/>, or
    /// <see cref="ErrorCode.UnsupportedCompressionType"/> for a codec that is not known.</returns>
    public static ValidationResult TryOpen(
        ReadOnlyMemory<byte> batch, PooledBufferWriter scratch, out ReadOnlyMemory<byte> payload, int maxBytes = DefaultMaxBytes)
    {
        payload = batch[RecordBatchHeader.Size..];
        CompressionType compression = new RecordBatchHeader(batch.Span).Compression;
        if (compression == CompressionType.None)
            return ValidationResult.Ok;

        scratch.Clear();
        ValidationResult result = Codec.TryDecompress(compression, payload.Span, scratch, maxBytes);
        payload = result.IsOk ? scratch.WrittenMemory : ReadOnlyMemory<byte>.Empty;
        return result;
    }

    /// <summary>Validates a producer's records: well-formed, as many as counted, offset deltas 0, 1, 2, …, nothing after.</summary>
    /// <param name="batch">One that passed <see cref="RecordBatches.Validate"/> and <see cref="RecordBatches.ValidateForAppend"/>.</param>
    /// <param name="requireKeys">For a compacted topic: a null key is <see cref="ErrorCode.InvalidRecord"/>.</param>
    /// <param name="badRecord">The index of the record at fault; -1 for none in particular.</param>
    public static ValidationResult Validate(
        ReadOnlyMemory<byte> batch, PooledBufferWriter scratch, bool requireKeys, out int badRecord, int maxBytes = DefaultMaxBytes)
    {
        badRecord = -1;
        ValidationResult opened = TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload, maxBytes);
        if (!opened.IsOk)
            return opened;

        int count = new RecordBatchHeader(batch.Span).Count;
        return RecordBounds.AreSound(payload.Span, count, requireKeys)
            ? ValidationResult.Ok
            : Diagnose(payload, count, requireKeys, out badRecord);
    }

    /// <summary>Finds what is wrong with records that <see cref="RecordBounds"/> found malformed.</summary>
    internal static ValidationResult Diagnose(ReadOnlyMemory<byte> payload, int count, bool requireKeys, out int badRecord)
    {
        var reader = new RecordReader(payload.Span, count);
        for (badRecord = 0; reader.TryRead(out RecordView record); badRecord++)
        {
            if (record.OffsetDelta != badRecord)
            {
                return ValidationResult.Invalid(
                    $"Record {badRecord} has offset delta {record.OffsetDelta}; producers number their records 0, 1, 2 and so on.");
            }

            if (requireKeys && record.IsKeyNull)
                return ValidationResult.Invalid($"Record {badRecord} has no key, which a compacted topic needs.");
        }

        if (!reader.Problem.IsOk)
            return reader.Problem;

        badRecord = -1;
        return reader.Position == payload.Length
            ? ValidationResult.Ok
            : ValidationResult.Invalid($"{payload.Length - reader.Position} bytes follow the last of {count} records.");
    }
}
