namespace Arus.Storage;

/// <summary>
/// Gives appends their offsets: checks the leader epoch and the producers' sequences, copies the batches into the tail cache, and
/// publishes them to the writer. Thread-safe; appends take effect in the order of the calls.
/// </summary>
internal sealed class LogAppender(
    LogContext log, SegmentList segments, ProducerStateManager producers, LogWriter writer, ReplicaCheckpoint? replica)
{
    /// <summary>How much recovery reads again after a crash at most, where appends are synced.</summary>
    private const int CheckpointBytes = 64 << 20;

    /// <summary>Calls that may wait for room. Callers keep few in flight, so more are refused.</summary>
    private const int MaxWaitingAppends = 4096;

    /// <summary>
    /// Held while an append is taken in. The I/O thread takes it only for exclusive operations and for appends that wait for room, so
    /// that it writes one append while the next is copied.
    /// </summary>
    private readonly LogLock _lock = new(LockRank.Appender);

    /// <summary>The active segment as it will be when all that is taken in is written.</summary>
    private ActiveSegment _active = ActiveSegment.Of(segments);
    private long _sinceCheckpoint;
    private readonly ulong _seed = Crc32C.Compute(System.Text.Encoding.UTF8.GetBytes(log.Partition.ToString()));

    /// <summary>Keeps its capacity from one append to the next.</summary>
    private List<PendingBatch>? _batches;
    private Queue<PendingAppend>? _waiting;

    /// <summary>Tells the I/O thread without the lock whether appends wait.</summary>
    private int _waitingCount;

    public ValueTask<LogAppendResult[]> AppendAsync(PendingAppend append)
    {
        if (append.Entries.Length == 0)
            return new ValueTask<LogAppendResult[]>([]);

        append.Validate(log.Config, log.Shared.NowMs);
        using (_lock.Enter())
        {
            if (log.Refusal is { } refusal)
                return append.RefuseAll(refusal);

            if (_waiting is { Count: > 0 } || writer.PendingBytes >= log.Shared.Options.MaxPendingBytes)
                return WaitForRoom(append);

            if (!TryAppend(append))
                return new ValueTask<LogAppendResult[]>(append.Results);
        }

        log.ScheduleIo();
        log.Shared.Cache.Trim();
        return new ValueTask<LogAppendResult[]>(append.Task);
    }

    /// <summary>See <see cref="IPartitionLog.BeginVerificationAsync"/>.</summary>
    public VerificationGuard? BeginVerification(long producerId, short producerEpoch, int sequence, bool beginsAtZero)
    {
        using (_lock.Enter())
        {
            return producers.NeedsNoVerification(producerId, producerEpoch)
                ? null
                : producers.Verifications.Begin(producerId, producerEpoch, sequence, beginsAtZero, log.Shared.NowMs);
        }
    }

    /// <summary>Takes in the waiting appends for which there is room now. Called on the I/O thread.</summary>
    public void AppendWaiting()
    {
        if (Volatile.Read(ref _waitingCount) == 0)
            return;

        List<PendingAppend>? done = null;
        bool schedule = false;
        using (_lock.Enter())
        {
            while (_waiting is { Count: > 0 }
                && (writer.PendingBytes < log.Shared.Options.MaxPendingBytes || log.Failure is not null))
            {
                PendingAppend append = _waiting.Dequeue();
                Volatile.Write(ref _waitingCount, _waiting.Count);
                if (TryAppend(append))
                    schedule = true;
                else
                    (done ??= []).Add(append);
            }
        }

        done?.ForEach(append => append.Complete());
        if (schedule)
            log.ScheduleIo();
    }

    /// <summary>Keeps appends out until the scope is disposed.</summary>
    public LogLock.Scope Exclude() => _lock.Enter();

    /// <summary>The segments may have changed and everything taken in is written. Called within <see cref="Exclude"/>.</summary>
    public void Reset() => _active = ActiveSegment.Of(segments);

    private ValueTask<LogAppendResult[]> WaitForRoom(PendingAppend append)
    {
        _waiting ??= new Queue<PendingAppend>();
        if (_waiting.Count >= MaxWaitingAppends)
        {
            return append.RefuseAll(LogAppendResult.Refused(
                ErrorCode.RequestTimedOut, $"{log.Partition} has {MaxWaitingAppends} appends waiting for the disk; try again later."));
        }

        _waiting.Enqueue(append);
        Volatile.Write(ref _waitingCount, _waiting.Count);
        log.ScheduleIo(); // The room may have come just before this append was counted.
        return new ValueTask<LogAppendResult[]>(append.Task);
    }

    /// <summary>Fills in the results; false when every entry was refused, so that there is nothing to wait for.</summary>
    private bool TryAppend(PendingAppend append)
    {
        if ((log.Refusal ?? FindFence(append)) is { } refusal)
        {
            append.RefuseAll(refusal);
            return false;
        }

        List<PendingBatch> batches = _batches ??= [];
        bool any = false;
        long nowMs = log.Shared.NowMs;
        try
        {
            for (int i = 0; i < append.Entries.Length; i++)
            {
                if (append.Results[i].Error == ErrorCode.None)
                {
                    append.Results[i] = AppendEntry(append.Entries[i], append, nowMs, batches);
                    any |= append.Results[i].Error == ErrorCode.None;
                }

                if (append.Origin == AppendOrigin.Replica && append.Results[i].Error != ErrorCode.None)
                {
                    append.RefuseFrom(i); // What comes behind it would leave a hole that the leader does not have.
                    break;
                }
            }
        }
        catch (Exception error)
        {
            // Offsets were given at which nothing will be written.
            log.Fail(error);
            append.RefuseAll(LogAppendResult.Refused(ErrorCode.KafkaStorageError, log.DescribeFailure(error)));
            return false;
        }

        if (any)
            writer.Publish(append, batches);

        const int KeptCapacity = 256;
        batches.Clear();
        _batches = batches.Capacity > KeptCapacity ? null : batches;
        return any;
    }

    private LogAppendResult? FindFence(PendingAppend append)
    {
        if (replica is not null && append.LeaderEpoch < replica.FencedEpoch)
        {
            return LogAppendResult.Refused(
                ErrorCode.FencedLeaderEpoch,
                $"Leader epoch {append.LeaderEpoch} is over; {log.Partition} takes records from epoch {replica.FencedEpoch} on.");
        }

        return segments.LatestEpoch is var latest && append.LeaderEpoch < latest && append.Origin != AppendOrigin.Replica
            ? LogAppendResult.Refused(
                ErrorCode.FencedLeaderEpoch, $"Leader epoch {append.LeaderEpoch} is over; {log.Partition} was written in epoch {latest}.")
            : null;
    }

    private LogAppendResult AppendEntry(ReadOnlyMemory<byte> entry, PendingAppend append, long nowMs, List<PendingBatch> batches)
    {
        TopicConfig config = log.Config;
        long baseOffset = segments.LogEndOffset;
        if (append.Origin == AppendOrigin.Replica)
        {
            if (FindMisfit(entry.Span, append.LeaderEpoch) is { } misfit)
                return misfit;

            baseOffset = new RecordBatchHeader(entry.Span).BaseOffset;
        }

        bool logAppendTime = config.LogAppendTime && append.Origin != AppendOrigin.Replica;
        SegmentRoll? roll = DecideRoll(entry.Span, baseOffset, config, nowMs, logAppendTime);
        if (producers.Check(entry.Span, append, baseOffset, config.LogAppendTime) is { } outcome)
            return outcome;

        CopyToTail(entry.Span, append, logAppendTime, roll, nowMs, batches);
        return new LogAppendResult(ErrorCode.None, baseOffset, logAppendTime ? nowMs : -1);
    }

    /// <summary>Why batches of a leader do not continue the log: both offsets and epochs grow along it.</summary>
    private LogAppendResult? FindMisfit(ReadOnlySpan<byte> batches, int leaderEpoch)
    {
        (long next, int epoch) = (segments.LogEndOffset, segments.LatestEpoch);
        for (int length; !batches.IsEmpty; batches = batches[length..])
        {
            var header = new RecordBatchHeader(batches);
            if (header.BaseOffset < next && !BeginsWithin(header, next))
            {
                return LogAppendResult.Refused(
                    ErrorCode.OffsetOutOfRange,
                    $"The leader sent offset {header.BaseOffset}; the log of {log.Partition} has reached offset {next}.");
            }

            if (header.PartitionLeaderEpoch < epoch || header.PartitionLeaderEpoch > leaderEpoch)
            {
                return LogAppendResult.Refused(
                    ErrorCode.InvalidRecord,
                    $"The leader of epoch {leaderEpoch} sent records of epoch {header.PartitionLeaderEpoch}; those of {log.Partition} have "
                    + $"reached epoch {epoch}.");
            }

            (next, epoch, length) = (header.NextOffset, header.PartitionLeaderEpoch, header.SizeInBytes);
        }

        return null;
    }

    /// <summary>
    /// An empty log begins where its leader's does, which may be within a batch, since records are deleted one by one: the leader has that
    /// batch whole.
    /// </summary>
    private bool BeginsWithin(RecordBatchHeader batch, long next) =>
        next == segments.LogStartOffset && next == segments.LogEndOffset && segments.All.Length == 0 && batch.NextOffset > next;

    /// <summary>Whether the segment rolls before an entry (<c>segment.bytes</c>, <c>segment.ms</c>), or a checkpoint is due.</summary>
    private SegmentRoll? DecideRoll(ReadOnlySpan<byte> entry, long baseOffset, TopicConfig config, long nowMs, bool logAppendTime)
    {
        bool newSegment = _active.Size > 0
            && (_active.Size + entry.Length > config.SegmentBytes
                || WaitedForRoll(entry, nowMs, logAppendTime) > config.SegmentMs - Jitter(config)
                || baseOffset - _active.BaseOffset > int.MaxValue / 2);
        bool checkpoint = log.Shared.Syncs && _sinceCheckpoint + entry.Length > CheckpointBytes;
        return newSegment || checkpoint ? new SegmentRoll(newSegment, ProducerSnapshot.Take(producers)) : null;
    }

    /// <summary>
    /// How much earlier than <c>segment.ms</c> the active segment rolls: the same for the life of a segment, and different between
    /// segments and partitions, so that those which were created together do not roll together.
    /// </summary>
    private long Jitter(TopicConfig config)
    {
        long most = Math.Min(config.SegmentJitterMs, config.SegmentMs);
        return most <= 0 ? 0 : (long)((((ulong)_active.BaseOffset + _seed) * 0x9E37_79B9_7F4A_7C15) >> 1) % most;
    }

    /// <summary>
    /// How far an entry is from the segment's first batch, in milliseconds of the records' time, as in Kafka: records that are brought in
    /// later than they were made expire in segments of their own. Without timestamps the clock counts.
    /// </summary>
    private long WaitedForRoll(ReadOnlySpan<byte> entry, long nowMs, bool logAppendTime)
    {
        if (_active.FirstTimestamp is not >= 0)
            return _active.FirstAppendMs >= 0 ? nowMs - _active.FirstAppendMs : 0;

        long latest = logAppendTime ? nowMs : RecordBatchHeader.NoTimestamp;
        for (int length; !logAppendTime && !entry.IsEmpty; entry = entry[length..])
        {
            var header = new RecordBatchHeader(entry);
            (latest, length) = (Math.Max(latest, header.MaxTimestamp), header.SizeInBytes);
        }

        return latest - _active.FirstTimestamp.Value;
    }

    /// <summary>Copies the batches of an entry into the tail cache, where they get offset, epoch and timestamp.</summary>
    private void CopyToTail(
        ReadOnlySpan<byte> entry, PendingAppend append, bool logAppendTime, SegmentRoll? roll, long nowMs, List<PendingBatch> batches)
    {
        _sinceCheckpoint = roll is null ? _sinceCheckpoint : 0;
        _active = roll is { NewSegment: true } ? default : _active;
        bool isReplica = append.Origin == AppendOrigin.Replica;
        while (!entry.IsEmpty)
        {
            var source = new RecordBatchHeader(entry);
            int length = source.SizeInBytes;
            long baseOffset = isReplica ? source.BaseOffset : segments.LogEndOffset;
            int epoch = isReplica ? source.PartitionLeaderEpoch : append.LeaderEpoch;
            (TailChunk chunk, int start) = segments.Tail.Reserve(length, baseOffset);
            Memory<byte> batch = chunk.Bytes.AsMemory(start, length);
            entry[..length].CopyTo(batch.Span);
            entry = entry[length..];
            BatchStamp.Write(batch, baseOffset, epoch, logAppendTime ? nowMs : null);
            var header = new RecordBatchHeader(batch.Span);
            TransactionStep step = producers.Add(batch.Span, baseOffset, nowMs);
            LogAbortedTransaction? aborted = segments.AssignOffsets(epoch, baseOffset, header.NextOffset, step);
            batches.Add(new PendingBatch(chunk, start, length, baseOffset, header.NextOffset, header.MaxTimestamp, nowMs, roll, aborted));
            _active = _active.Size == 0
                ? new ActiveSegment(baseOffset, length, nowMs, header.MaxTimestamp)
                : _active with { Size = _active.Size + length };
            _sinceCheckpoint += length;
            roll = null;
        }
    }

    /// <param name="Size">Bytes, at most those of an <see cref="int"/> and one entry.</param>
    /// <param name="FirstAppendMs">Unix milliseconds; -1 while the segment is empty.</param>
    /// <param name="FirstTimestamp">The greatest of the first batch, Unix milliseconds.</param>
    private readonly record struct ActiveSegment(long BaseOffset, long Size, long FirstAppendMs, long? FirstTimestamp)
    {
        public static ActiveSegment Of(SegmentList segments) => segments.All is [.., var active]
            ? new ActiveSegment(active.BaseOffset, active.Size, active.FirstAppendMs, active.FirstTimestamp)
            : new(0, 0, -1, null);
    }
}
