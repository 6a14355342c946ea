namespace Arus.Storage;

/// <summary>
/// Makes a row of queued appends against the log's present end: gives offsets, tells duplicates, and fills in the results. When the
/// row loses its race, another one is built against the new end.
/// </summary>
internal sealed class RowBuilder(ProducerStateManager producers, TopicConfig config, long rowOffset, int epoch, long nowMs)
{
    private readonly PooledBufferWriter _batches = new(64 * 1024);

    /// <summary>The producers of this row's batches as they will be; the log's own change only when the row is written.</summary>
    private readonly ProducerStateManager _after = new();
    private readonly long _base = rowOffset;
    private long _next = rowOffset;
    private long _maxTimestamp = RecordBatchHeader.NoTimestamp;

    public void Add(PendingAppend append)
    {
        for (int i = 0; i < append.Entries.Length; i++)
        {
            // After a lost race it is judged anew.
            if (PendingAppend.DependsOnLog(append.Results[i].Error))
            {
                append.Results[i] = AddEntry(append.Entries[i], append.Origin);
            }
        }
    }

    /// <summary>Null when no batch is to be written.</summary>
    public SegmentRow? Build()
    {
        byte[] batches = _batches.WrittenSpan.ToArray();
        _batches.Dispose();
        return batches.Length == 0 ? null : new SegmentRow(epoch, _base, _next, _maxTimestamp, batches);
    }

    private LogAppendResult AddEntry(ReadOnlyMemory<byte> entry, AppendOrigin origin)
    {
        long first = _next;
        var undo = new List<(long Id, ProducerState? Before)>();
        long offset = first;
        ReadOnlySpan<byte> rest = entry.Span;
        while (!rest.IsEmpty)
        {
            var header = new RecordBatchHeader(rest);
            rest = rest[header.SizeInBytes..];
            if (header.HasProducerId)
            {
                Bring(header.ProducerId);
                if (origin == AppendOrigin.Client && Judge(header) is { } outcome)
                {
                    undo.Reverse();
                    undo.ForEach(entry => _after.Set(entry.Id, entry.Before));
                    return outcome;
                }

                undo.Add((header.ProducerId, _after.Find(header.ProducerId)?.Clone()));
                _after.Add(header, offset, nowMs);
            }

            offset += header.LastOffsetDelta + 1;
        }

        Copy(entry.Span);
        return new LogAppendResult(ErrorCode.None, first, config.LogAppendTime ? nowMs : -1);
    }

    private void Bring(long producerId)
    {
        if (_after.Find(producerId) is null && producers.Find(producerId) is { } known)
        {
            _after.Set(producerId, known.Clone());
        }
    }

    private LogAppendResult? Judge(RecordBatchHeader header) =>
        _after.Check(header, out ProducerBatch duplicate, out string? message) switch
        {
            SequenceVerdict.Accept => null,
            SequenceVerdict.Duplicate => new LogAppendResult(ErrorCode.None, duplicate.FirstOffset, config.LogAppendTime ? duplicate.Timestamp : -1),
            SequenceVerdict.InvalidEpoch => LogAppendResult.Refused(ErrorCode.InvalidProducerEpoch, message!),
            _ => LogAppendResult.Refused(ErrorCode.OutOfOrderSequenceNumber, message!),
        };

    private void Copy(ReadOnlySpan<byte> entry)
    {
        while (!entry.IsEmpty)
        {
            int length = new RecordBatchHeader(entry).SizeInBytes;
            Span<byte> batch = _batches.GetSpan(length)[..length];
            entry[..length].CopyTo(batch);
            entry = entry[length..];
            RecordBatches.SetBaseOffset(batch, _next);
            RecordBatches.SetPartitionLeaderEpoch(batch, epoch);
            if (config.LogAppendTime)
            {
                RecordBatches.SetLogAppendTime(batch, nowMs);
            }

            _batches.Advance(length);
            var header = new RecordBatchHeader(batch);
            _next = header.NextOffset;
            _maxTimestamp = Math.Max(_maxTimestamp, header.MaxTimestamp);
        }
    }
}
