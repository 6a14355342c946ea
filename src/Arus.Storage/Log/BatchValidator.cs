using Arus.Compression;

namespace Arus.Storage;

/// <summary>What a leader checks of batches that are to be appended. Not thread-safe: it keeps a buffer to decompress into.</summary>
internal sealed class BatchValidator
{
    private readonly PooledBufferWriter _scratch = new();

    /// <summary>Checks an entry: one or more whole batches. What is not refused may be appended as far as its bytes go.</summary>
    public LogAppendResult Validate(ReadOnlyMemory<byte> entry, TopicConfig config, AppendOrigin origin, long nowMs)
    {
        if (entry.IsEmpty)
            return LogAppendResult.Refused(ErrorCode.InvalidRecord, "There is no record batch to append.");

        int maxBatch = origin == AppendOrigin.Client ? config.MaxMessageBytes : config.SegmentBytes;
        int firstRecord = 0;
        ReadOnlyMemory<byte> rest = entry;
        while (!rest.IsEmpty)
        {
            BatchReadStatus status = RecordBatches.TryReadNext(
                ref rest, maxBatch, out ReadOnlyMemory<byte> batch, out ValidationResult problem);
            int badRecord = -1;
            if (status == BatchReadStatus.Batch)
                problem = ValidateBatch(batch, config, origin, nowMs, out badRecord);
            else if (status != BatchReadStatus.Invalid)
                problem = new(ErrorCode.CorruptMessage, $"A batch is cut off: {rest.Length} bytes are left, and it says it has more.");

            if (!problem.IsOk)
            {
                LogRecordError[]? records = badRecord < 0 ? null : [new LogRecordError(firstRecord + badRecord, problem.Message!)];
                return LogAppendResult.Refused(problem.Error, problem.Message!, records);
            }

            firstRecord += new RecordBatchHeader(batch.Span).Count;
        }

        return entry.Length > config.SegmentBytes
            ? LogAppendResult.Refused(
                ErrorCode.RecordListTooLarge,
                $"The batches have {entry.Length} bytes; they must fit into one segment "
                + $"({TopicConfigs.SegmentBytes}={config.SegmentBytes}).")
            : new LogAppendResult(ErrorCode.None, -1, -1);
    }

    /// <param name="badRecord">The record at fault, from 0; -1 when it is the batch.</param>
    private ValidationResult ValidateBatch(
        ReadOnlyMemory<byte> batch, TopicConfig config, AppendOrigin origin, long nowMs, out int badRecord)
    {
        badRecord = -1;
        ValidationResult result = RecordBatches.Validate(batch.Span);
        if (!result.IsOk || origin != AppendOrigin.Client)
            return result;

        var header = new RecordBatchHeader(batch.Span);
        result = RecordBatches.ValidateForAppend(header);
        if (!result.IsOk)
            return result;

        if (header.IsTransactional)
        {
            return new ValidationResult(
                ErrorCode.InvalidTxnState, "Transactional batches are not supported yet; produce without transactional.id.");
        }

        if (!config.LogAppendTime)
            result = ValidateTimestamps(batch, header, config, nowMs, out badRecord);

        // Walking the records of what is not compressed costs little. Compressed records are opened only where a compacted topic needs
        // every key: their producer's CRC covers them, and a consumer checks them again.
        return result.IsOk && (header.Compression == CompressionType.None || config.Compact)
            ? RecordBatchPayload.Validate(batch, _scratch, config.Compact, out badRecord)
            : result;
    }

    private ValidationResult ValidateTimestamps(
        ReadOnlyMemory<byte> batch, RecordBatchHeader header, TopicConfig config, long nowMs, out int badRecord)
    {
        badRecord = -1;
        long max = header.MaxTimestamp;
        if (max != RecordBatchHeader.NoTimestamp && max - nowMs > config.MessageTimestampAfterMaxMs)
            return OutOfRange(max, TopicConfigs.MessageTimestampAfterMaxMs, config.MessageTimestampAfterMaxMs);

        if (config.MessageTimestampBeforeMaxMs == long.MaxValue)
            return ValidationResult.Ok;

        // The header does not say which is the earliest record.
        ValidationResult opened = RecordBatchPayload.TryOpen(batch, _scratch, out ReadOnlyMemory<byte> payload);
        if (!opened.IsOk)
            return opened;

        var reader = new RecordReader(payload.Span, header.Count);
        for (int index = 0; reader.TryRead(out RecordView record); index++)
        {
            long timestamp = header.BaseTimestamp + record.TimestampDelta;
            if (nowMs - timestamp > config.MessageTimestampBeforeMaxMs)
            {
                badRecord = index;
                return OutOfRange(timestamp, TopicConfigs.MessageTimestampBeforeMaxMs, config.MessageTimestampBeforeMaxMs);
            }
        }

        return reader.Problem;

        ValidationResult OutOfRange(long timestamp, string key, long limit) =>
            new(
                ErrorCode.InvalidTimestamp,
                $"Timestamp {timestamp} is too far from the broker's clock, which shows {nowMs}: {key}={limit}.");
    }
}
