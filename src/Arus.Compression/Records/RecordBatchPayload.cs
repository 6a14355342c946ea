namespace Arus.Compression;

/// <summary>The records of a batch, uncompressed.</summary>
public static class RecordBatchPayload
{
    /// <summary>The decompressed size limit of a batch where the caller sets none.</summary>
    public const int DefaultMaxBytes = 256 * 1024 * 1024;

    /// <summary>
    /// Opens a batch for a <see cref="RecordReader"/>: the payload is a slice of it when it is not compressed, otherwise of
    /// <paramref name="scratch"/>, which is cleared first, and valid until the next use of that.
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

    /// <summary>
    /// Shows every record of a batch to a visitor, and checks that they are well-formed, as many as the header counts, and nothing after
    /// them. What is compressed is decompressed in pieces: the memory that it takes does not grow with the batch or its records.
    /// </summary>
    /// <param name="batch">A whole batch whose length was checked.</param>
    /// <param name="scratch">Keeps the pieces; cleared first.</param>
    /// <param name="maxRecordBytes">A longer record of a compressed batch is refused.</param>
    /// <param name="maxBytes">The most bytes that a compressed batch may hold.</param>
    /// <returns><see cref="ErrorCode.InvalidRecord"/>, or <see cref="ErrorCode.UnknownServerError"/> for a length that is no number, as
    /// Kafka tells; and the errors of <see cref="TryOpen"/>.</returns>
    public static ValidationResult Walk<TVisitor>(
        ReadOnlySpan<byte> batch, PooledBufferWriter scratch, ref TVisitor visitor,
        int maxRecordBytes = int.MaxValue, int maxBytes = DefaultMaxBytes)
        where TVisitor : struct, IRecordVisitor
    {
        var header = new RecordBatchHeader(batch);
        ReadOnlySpan<byte> payload = batch[RecordBatchHeader.Size..];
        bool isCompressed = header.Compression != CompressionType.None;
        var scanner = new RecordScanner<TVisitor>(visitor, header.Count, isCompressed ? maxRecordBytes : int.MaxValue);
        ValidationResult result = ValidationResult.Ok;
        if (isCompressed)
        {
            scratch.Clear();
            var output = new ScanOutput<TVisitor>(ref scanner, scratch);
            result = Codec.TryDecompress(header.Compression, payload, ref output, maxBytes);
        }
        else
        {
            scanner.Feed(payload);
        }

        visitor = scanner.Visitor;
        return result.IsOk ? scanner.Finish() : result;
    }
}
