namespace Arus.Storage;

/// <content>The appender's side: validates, gives offsets, copies into the tail cache, queues.</content>
internal sealed partial class PartitionLog
{
    /// <summary>How much a crash makes recovery read again at most, where appends are synced.</summary>
    private const int CheckpointBytes = 64 << 20;

    [ThreadStatic]
    private static BatchValidator? t_validator;

    /// <summary>What the append at work gave offsets to and has not handed over yet.</summary>
    [ThreadStatic]
    private static List<PendingBatch>? t_admitted;

    /// <summary>
    /// Held while an append is taken in. The I/O thread takes it only for operations and for those that wait for room, so that it
    /// writes one append while the next is copied.
    /// </summary>
    private readonly Lock _appendLock = new();

    /// <summary>Guards what was taken in and is on its way to the disk. Held for moments.</summary>
    private readonly Lock _queueLock = new();
    private readonly ProducerStates _producers;
    private List<PendingAppend>? _appends;
    private List<PendingBatch>? _batches;
    private long _nextOffset;
    private long _pendingBytes;
    private long _activeBase;
    private long _activeSize;
    private long _activeFirstMs = -1;
    private long _sinceCheckpoint;

    public ValueTask<LogAppendResult[]> AppendAsync(
        ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin = AppendOrigin.Client)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (entries.Length == 0)
        {
            return new ValueTask<LogAppendResult[]>([]);
        }

        var append = new PendingAppend(entries, leaderEpoch, origin);
        Validate(append);
        lock (_appendLock)
        {
            if (RefuseAll(append))
            {
                return new ValueTask<LogAppendResult[]>(append.Results);
            }

            if (_waiting is { Count: > 0 } || Interlocked.Read(ref _pendingBytes) >= _shared.Options.MaxPendingBytes)
            {
                return WaitForRoom(append);
            }

            if (!Admit(append))
            {
                return new ValueTask<LogAppendResult[]>(append.Results);
            }
        }

        ScheduleIo();
        _cache.Trim();
        return append.AsValueTask();
    }

    private bool RefuseAll(PendingAppend append)
    {
        (ErrorCode error, string? message) = _failure is { } failure
            ? (ErrorCode.KafkaStorageError, $"The log of {Partition} failed: {failure.Message}")
            : _phase != LogPhase.Open ? (ErrorCode.NotLeaderOrFollower, $"The log of {Partition} is closed.") : (ErrorCode.None, null);
        if (message is not null)
        {
            Array.Fill(append.Results, LogAppendResult.Refused(error, message));
        }

        return message is not null;
    }

    /// <summary>Checks the entries before any lock is taken: it is most of an append's work, and does not look at the log.</summary>
    private void Validate(PendingAppend append)
    {
        BatchValidator validator = t_validator ??= new BatchValidator();
        (TopicConfig config, long nowMs) = (Config, _shared.NowMs);
        for (int i = 0; i < append.Entries.Length; i++)
        {
            ValidationResult valid = validator.Validate(append.Entries[i], config, append.Origin, nowMs, out LogRecordError[]? recordErrors);
            append.Results[i] = valid.IsOk ? default : LogAppendResult.Refused(valid.Error, valid.Message!, recordErrors);
        }
    }

    /// <summary>Fills the results; false when nothing was taken in, so that there is nothing to wait for.</summary>
    private bool Admit(PendingAppend append)
    {
        int latest = LatestEpoch;
        if (append.LeaderEpoch < latest && append.Origin != AppendOrigin.Replica)
        {
            string message = $"Leader epoch {append.LeaderEpoch} is over; {Partition} was written in epoch {latest}.";
            Array.Fill(append.Results, LogAppendResult.Refused(ErrorCode.FencedLeaderEpoch, message));
            return false;
        }

        List<PendingBatch> admitted = t_admitted ??= [];
        admitted.Clear();
        bool any = false;
        long nowMs = _shared.NowMs;
        try
        {
            for (int i = 0; i < append.Entries.Length; i++)
            {
                if (append.Results[i].Error == ErrorCode.None)
                {
                    append.Results[i] = AdmitEntry(append.Entries[i], append, nowMs);
                    any |= append.Results[i].Error == ErrorCode.None;
                }
            }
        }
        catch (Exception error)
        {
            // Offsets were given that nothing will be written at.
            Fail(error);
            throw;
        }

        if (any)
        {
            HandOver(append, admitted);
        }

        return any;
    }

    /// <summary>Leaves to the I/O thread all that an append brought, at once.</summary>
    private void HandOver(PendingAppend append, List<PendingBatch> admitted)
    {
        lock (_queueLock)
        {
            // A duplicate too waits: what it repeats may not be durable yet.
            (_appends ??= []).Add(append);
            (_batches ??= []).AddRange(admitted);
            foreach (PendingBatch batch in admitted)
            {
                _pendingBytes += batch.Length;
            }
        }

        admitted.Clear();
    }

    private LogAppendResult AdmitEntry(ReadOnlyMemory<byte> entry, PendingAppend append, long nowMs)
    {
        TopicConfig config = Config;
        long baseOffset = append.Origin == AppendOrigin.Replica ? new RecordBatchHeader(entry.Span).BaseOffset : _nextOffset;
        if (baseOffset < _nextOffset)
        {
            return LogAppendResult.Refused(
                ErrorCode.OffsetOutOfRange, $"The leader sent offset {baseOffset}; the log of {Partition} ends at {_nextOffset}.");
        }

        Turnover? turnover = DecideTurnover(entry.Length, baseOffset, config, nowMs);
        if (TakeProducers(entry, append.Origin, baseOffset, nowMs) is { } outcome)
        {
            return outcome;
        }

        bool logAppendTime = config.LogAppendTime && append.Origin != AppendOrigin.Replica;
        CopyIn(entry, append, logAppendTime, turnover, nowMs);
        return new LogAppendResult(ErrorCode.None, baseOffset, logAppendTime ? nowMs : -1);
    }

    private Turnover? DecideTurnover(int length, long baseOffset, TopicConfig config, long nowMs)
    {
        bool newSegment = _activeSize > 0
            && (_activeSize + length > config.SegmentBytes
                || (_activeFirstMs >= 0 && nowMs - _activeFirstMs > config.SegmentMs)
                || baseOffset - _activeBase > int.MaxValue / 2);
        bool checkpoint = _shared.Syncs && _sinceCheckpoint + length > CheckpointBytes;
        return newSegment || checkpoint ? new Turnover(newSegment, ProducerSnapshot.Serialize(_producers)) : null;
    }

    /// <summary>Checks and notes the producers of an entry; an outcome when it is not to be appended.</summary>
    private LogAppendResult? TakeProducers(ReadOnlyMemory<byte> entry, AppendOrigin origin, long baseOffset, long nowMs)
    {
        List<(long Id, ProducerState? Before)>? undo = null;
        LogAppendResult? outcome = null;
        long offset = baseOffset;
        ReadOnlySpan<byte> rest = entry.Span;
        while (outcome is null && !rest.IsEmpty)
        {
            var header = new RecordBatchHeader(rest);
            rest = rest[header.SizeInBytes..];
            offset = origin == AppendOrigin.Replica ? header.BaseOffset : offset;
            if (header.HasProducerId)
            {
                outcome = origin == AppendOrigin.Client ? CheckProducer(header) : null;
                if (outcome is null)
                {
                    if (undo is not null || !rest.IsEmpty)
                    {
                        (undo ??= []).Add((header.ProducerId, _producers.Find(header.ProducerId)?.Clone()));
                    }

                    _producers.Add(header, offset, nowMs);
                }
            }

            offset += header.LastOffsetDelta + 1;
        }

        for (int i = outcome is null || undo is null ? -1 : undo.Count - 1; i >= 0; i--)
        {
            _producers.Set(undo![i].Id, undo[i].Before);
        }

        return outcome;
    }

    private LogAppendResult? CheckProducer(RecordBatchHeader header)
    {
        SequenceVerdict verdict = _producers.Check(header, out ProducerBatch duplicate, out string? message);
        return verdict switch
        {
            SequenceVerdict.Accept => null,
            SequenceVerdict.Duplicate => new LogAppendResult(
                ErrorCode.None, duplicate.FirstOffset, Config.LogAppendTime ? duplicate.Timestamp : -1),
            SequenceVerdict.InvalidEpoch => LogAppendResult.Refused(ErrorCode.InvalidProducerEpoch, message!),
            _ => LogAppendResult.Refused(ErrorCode.OutOfOrderSequenceNumber, message!),
        };
    }

    private void CopyIn(ReadOnlyMemory<byte> entry, PendingAppend append, bool logAppendTime, Turnover? turnover, long nowMs)
    {
        if (turnover is not null)
        {
            _sinceCheckpoint = 0;
            if (turnover.NewSegment)
            {
                (_activeSize, _activeFirstMs) = (0, -1);
            }
        }

        ReadOnlySpan<byte> rest = entry.Span;
        while (!rest.IsEmpty)
        {
            var source = new RecordBatchHeader(rest);
            int length = source.SizeInBytes;
            long baseOffset = append.Origin == AppendOrigin.Replica ? source.BaseOffset : _nextOffset;
            int epoch = append.Origin == AppendOrigin.Replica ? source.PartitionLeaderEpoch : append.LeaderEpoch;
            (TailChunk chunk, int start) = _cache.Reserve(length, baseOffset);
            Span<byte> batch = chunk.Bytes.AsSpan(start, length);
            rest[..length].CopyTo(batch);
            rest = rest[length..];
            RecordBatches.SetBaseOffset(batch, baseOffset);
            RecordBatches.SetPartitionLeaderEpoch(batch, epoch);
            if (logAppendTime)
            {
                RecordBatches.SetLogAppendTime(batch, nowMs);
            }
            else if (append.Origin == AppendOrigin.Client && source.MaxTimestamp < source.BaseTimestamp)
            {
                // Some producers leave the field unset (sarama 1.22); without it the records could not be found by time.
                RecordBatches.SetMaxTimestamp(batch, BatchTimestamps.Max(chunk.Bytes.AsMemory(start, length)));
            }

            Enqueue(new RecordBatchHeader(batch), chunk, start, turnover, epoch, nowMs);
            turnover = null;
        }
    }

    private void Enqueue(RecordBatchHeader header, TailChunk chunk, int start, Turnover? turnover, int epoch, long nowMs)
    {
        if (_activeSize == 0)
        {
            (_activeBase, _activeFirstMs) = (header.BaseOffset, nowMs);
        }

        int length = header.SizeInBytes;
        t_admitted!.Add(
            new PendingBatch(chunk, start, length, header.BaseOffset, header.NextOffset, header.MaxTimestamp, nowMs, turnover));
        _activeSize += length;
        _sinceCheckpoint += length;
        lock (_stateLock)
        {
            _epochs.Add(epoch, header.BaseOffset);
            Volatile.Write(ref _nextOffset, header.NextOffset);
        }
    }
}
