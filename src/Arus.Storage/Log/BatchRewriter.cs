using System.Diagnostics;
using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// Makes of a batch that is valid, but not right as it was sent, one that is. Not thread-safe: it keeps memory to work in.
/// </summary>
internal sealed class BatchRewriter
{
    private readonly RecordBatchBuilder _builder = new();
    private readonly PooledBufferWriter _payload = new();

    /// <summary>The same batch with timestamp type CreateTime and its records' maximum timestamp; itself if it has both.</summary>
    public static ReadOnlyMemory<byte> CorrectTimestamp(ReadOnlyMemory<byte> batch, long maxTimestamp)
    {
        var header = new RecordBatchHeader(batch.Span);
        if (header.MaxTimestamp == maxTimestamp && header.TimestampType == TimestampType.CreateTime)
            return batch;

        byte[] corrected = batch.ToArray();
        RecordBatches.SetCreateTime(corrected, maxTimestamp);
        return corrected;
    }

    /// <summary>The same records with the offset deltas 0, 1, 2 and so on, compressed as the topic wants it.</summary>
    /// <param name="batch">One whose records are well-formed; replaced unless the result is an error.</param>
    public ValidationResult Rewrite(ref ReadOnlyMemory<byte> batch, CompressionTarget target, in RecordSummary summary)
    {
        var header = new RecordBatchHeader(batch.Span);
        bool recompresses = target.Compression != header.Compression;
        if (recompresses && summary.EarliestTimestamp < 0)
            return new ValidationResult(ErrorCode.UnknownServerError, $"A record has the timestamp {summary.EarliestTimestamp}.");

        ValidationResult result = RecordBatchPayload.TryOpen(batch, _payload, out ReadOnlyMemory<byte> payload);
        if (!result.IsOk)
            return result;

        _builder.Reset(recompresses ? null : header.BaseTimestamp);
        var reader = new RecordReader(payload.Span, header.Count);
        for (int index = 0; reader.TryRead(out RecordView record); index++)
            _builder.AppendCopy(index, unchecked(header.BaseTimestamp + record.TimestampDelta), record, payload.Span);

        Debug.Assert(_builder.Count == header.Count, "The records were walked before.");
        batch = _builder.Build(new RecordBatchOptions
        {
            Compression = target.Compression,
            CompressionLevel = target.Level,
            ProducerId = header.ProducerId,
            ProducerEpoch = header.ProducerEpoch,
            BaseSequence = header.BaseSequence,
            IsTransactional = header.IsTransactional,
        }).ToArray();
        return ValidationResult.Ok;
    }

    /// <summary>Gives back what takes more than so many bytes.</summary>
    public void Trim(int keptBytes)
    {
        if (_payload.Capacity > keptBytes)
            _payload.Dispose();

        if (_builder.Capacity > keptBytes)
            _builder.Dispose();
    }
}
