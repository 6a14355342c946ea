namespace Arus.Storage.Rows;

/// <summary>
/// Makes a row of queued appends against the log's present end: gives offsets, tells duplicates, and fills in the results. When the
/// row loses its race, another one is built against the new end.
/// </summary>
internal sealed class RowBuilder(ProducerStateManager producers, TopicConfig config, long rowOffset, int epoch, long nowMs)
{
    private readonly PooledBufferWriter _batches = new(64 * 1024);

    /// <summary>The producers of this row's batches as they will be; the log's own change only when the row is written.</summary>
    private readonly ProducerStateManager _after = new(basis: producers);
    private readonly long _base = rowOffset;
    private long _next = rowOffset;
    private long _maxTimestamp = RecordBatchHeader.NoTimestamp;

    public void Add(PendingAppend append)
    {
        for (int i = 0; i < append.Entries.Length; i++)
        {
            // After a lost race it is judged anew.
            if (PendingAppend.DependsOnLog(append.Results[i].Error))
                append.Results[i] = AddEntry(append.Entries[i].Span, append);
        }
    }

    /// <summary>Null when no batch is to be written.</summary>
    public SegmentRow? Build()
    {
        byte[] batches = _batches.WrittenSpan.ToArray();
        _batches.Dispose();
        return batches.Length == 0 ? null : new SegmentRow(epoch, _base, _next, _maxTimestamp, batches);
    }

    private LogAppendResult AddEntry(ReadOnlySpan<byte> entry, PendingAppend append)
    {
        long first = _next;
        if (_after.Check(entry, append, first, config.LogAppendTime) is { } outcome)
            return outcome;

        while (!entry.IsEmpty)
        {
            int length = new RecordBatchHeader(entry).SizeInBytes;
            Memory<byte> batch = _batches.GetMemory(length)[..length];
            entry[..length].CopyTo(batch.Span);
            entry = entry[length..];
            BatchStamp.Write(batch, _next, epoch, config.LogAppendTime ? nowMs : null);
            _batches.Advance(length);
            var header = new RecordBatchHeader(batch.Span);
            _after.Add(batch.Span, _next, nowMs);
            _next = header.NextOffset;
            _maxTimestamp = Math.Max(_maxTimestamp, header.MaxTimestamp);
        }

        return new LogAppendResult(ErrorCode.None, first, config.LogAppendTime ? nowMs : -1);
    }
}
