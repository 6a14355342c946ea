using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// Makes of a batch that is valid, but not right as it was sent, one that is. Not thread-safe: it keeps memory to work in.
/// </summary>
internal sealed class BatchRewriter
{
    private readonly RecordBatchBuilder _builder = new();

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

    /// <summary>The same records, not compressed, with the offset deltas 0, 1, 2 and so on.</summary>
    public ReadOnlyMemory<byte> Renumber(ReadOnlyMemory<byte> batch)
    {
        var header = new RecordBatchHeader(batch.Span);
        ReadOnlySpan<byte> payload = batch.Span[RecordBatchHeader.Size..];
        _builder.Reset(header.BaseTimestamp);
        var reader = new RecordReader(payload, header.Count);
        for (int index = 0; reader.TryRead(out RecordView record); index++)
            _builder.AppendCopy(index, unchecked(header.BaseTimestamp + record.TimestampDelta), record, payload);

        return _builder.Build(new RecordBatchOptions
        {
            ProducerId = header.ProducerId,
            ProducerEpoch = header.ProducerEpoch,
            BaseSequence = header.BaseSequence,
        }).ToArray();
    }
}
