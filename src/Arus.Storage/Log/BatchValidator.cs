using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// Opens and checks what is to be appended, once, and corrects what the leader writes itself: nothing that a producer's header says is
/// believed. Not thread-safe: it keeps memory to work in.
/// </summary>
internal sealed class BatchValidator
{
    /// <summary>What is larger is given back after the batch that needed it.</summary>
    private const int KeptBytes = 1024 * 1024;

    private readonly PooledBufferWriter _scratch = new();
    private readonly BatchRewriter _rewriter = new();

    /// <summary>
    /// Checks an entry: a producer's one batch, or whole batches of the broker itself, or of the leader, who has accepted their size.
    /// </summary>
    /// <param name="entry">When it is not refused, what is to be appended: memory of its own where it was not right as it was sent.</param>
    public LogAppendResult Validate(ref ReadOnlyMemory<byte> entry, TopicConfig config, AppendOrigin origin, long nowMs)
    {
        LogRecordError[]? recordErrors = null;
        ValidationResult result = origin == AppendOrigin.Client
            ? ValidateSent(ref entry, config, nowMs, out recordErrors)
            : ValidateBatches(entry, origin == AppendOrigin.Replica ? RecordBatches.MaxSizeLimit : config.SegmentBytes);
        return !result.IsOk ? LogAppendResult.Refused(result.Error, result.Message!, recordErrors)
            : entry.Length <= config.SegmentBytes || origin == AppendOrigin.Replica ? new LogAppendResult(ErrorCode.None, -1, -1)
            : LogAppendResult.Refused(
                ErrorCode.RecordListTooLarge,
                $"The batches have {entry.Length} bytes; they must fit into one segment "
                + $"({TopicConfigs.SegmentBytes}={config.SegmentBytes}).");
    }

    private static ValidationResult ValidateBatches(ReadOnlyMemory<byte> rest, int maxBytes)
    {
        if (rest.IsEmpty)
            return new ValidationResult(ErrorCode.InvalidRecord, "There is no record batch to append.");

        while (!rest.IsEmpty)
        {
            BatchReadStatus status = RecordBatches.TryReadNext(
                ref rest, maxBytes, out ReadOnlyMemory<byte> batch, out ValidationResult problem);
            if (status == BatchReadStatus.Incomplete)
            {
                return new ValidationResult(
                    ErrorCode.CorruptMessage, $"A batch is cut off: {rest.Length} bytes are left, and it says it has more.");
            }

            problem = status == BatchReadStatus.Batch ? RecordBatches.Validate(batch.Span) : problem;
            if (!problem.IsOk)
                return problem;
        }

        return ValidationResult.Ok;
    }

    private ValidationResult ValidateSent(
        ref ReadOnlyMemory<byte> entry, TopicConfig config, long nowMs, out LogRecordError[]? recordErrors)
    {
        recordErrors = null;
        ValidationResult result = ValidateHeader(ref entry, config);
        if (!result.IsOk)
            return result;

        try
        {
            result = ValidateRecords(ref entry, config, nowMs, out recordErrors);
        }
        finally
        {
            if (_scratch.Capacity > KeptBytes)
                _scratch.Dispose();

            _rewriter.Trim(KeptBytes);
        }

        return result.IsOk ? CheckSize(entry.Length, config) : result;
    }

    private static ValidationResult ValidateHeader(ref ReadOnlyMemory<byte> entry, TopicConfig config)
    {
        ValidationResult result = RecordBatches.TakeOnly(ref entry);
        if (result.IsOk)
            result = RecordBatches.ValidateBaseOffset(entry.Span);

        if (result.IsOk)
            result = CheckSize(entry.Length, config);

        if (result.IsOk)
            result = RecordBatches.ValidateBytes(entry.Span);

        if (!result.IsOk)
            return result;

        var header = new RecordBatchHeader(entry.Span);
        result = RecordBatches.ValidateForAppend(header);
        return result.IsOk ? result : AsProduceError(result);
    }

    private ValidationResult ValidateRecords(
        ref ReadOnlyMemory<byte> batch, TopicConfig config, long nowMs, out LogRecordError[]? recordErrors)
    {
        recordErrors = null;
        var header = new RecordBatchHeader(batch.Span);
        ValidationResult result = Open(batch.Span, header, config, out RecordSummary summary);
        if (!result.IsOk)
            return result;

        var rules = new RecordRules(config, header, nowMs);
        if (!rules.Allow(summary))
            return rules.Collect(batch.Span, _scratch, out recordErrors);

        CompressionTarget target = CompressionTarget.Of(config, header.Compression);
        if (target.Compression != header.Compression || (!summary.AreNumbered && header.Compression == CompressionType.None))
            return _rewriter.Rewrite(ref batch, target, summary);

        if (summary.AreNumbered)
        {
            batch = config.LogAppendTime ? batch : BatchRewriter.CorrectTimestamp(batch, summary.LatestTimestamp);
            return ValidationResult.Ok;
        }

        return new ValidationResult(
            ErrorCode.UnknownServerError, "The offset deltas of the batch's records are not 0, 1, 2 and so on.");
    }

    /// <summary>Reads the records of a batch.</summary>
    private ValidationResult Open(ReadOnlySpan<byte> batch, RecordBatchHeader header, TopicConfig config, out RecordSummary summary)
    {
        summary = new RecordSummary(header.BaseTimestamp);
        bool isEmpty = batch.Length == RecordBatchHeader.Size;
        if (isEmpty && header.Compression == CompressionType.Zstd)
            return new ValidationResult(ErrorCode.InvalidRecord, $"There is no record in the batch; its header says {header.Count}.");

        if (header.Compression == CompressionType.Lz4 && Lz4Frames.IsLinked(batch[RecordBatchHeader.Size..]))
        {
            return new ValidationResult(
                ErrorCode.UnknownServerError, "The blocks of the lz4 frame depend on each other, which Java consumers cannot read.");
        }

        return AsProduceError(RecordBatchPayload.Walk(batch, _scratch, ref summary, config.MaxDecompressedMessageBytes));
    }

    private static ValidationResult CheckSize(int size, TopicConfig config) =>
        size <= config.MaxMessageBytes
            ? ValidationResult.Ok
            : new ValidationResult(
                ErrorCode.MessageTooLarge,
                $"The batch has {size} bytes; the limit is {TopicConfigs.MaxMessageBytes}={config.MaxMessageBytes}.");

    /// <summary>
    /// What cannot be opened gets the code that Kafka gives it: a producer gives up, and does not send the same bytes again, as it
    /// would for a batch that was damaged on its way.
    /// </summary>
    private static ValidationResult AsProduceError(ValidationResult opened) =>
        opened.Error is ErrorCode.CorruptMessage or ErrorCode.UnsupportedCompressionType
            ? opened with { Error = ErrorCode.UnknownServerError }
            : opened;
}
