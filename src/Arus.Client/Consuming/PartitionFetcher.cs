using Arus.Grains;

namespace Arus.Client;

/// <summary>Where the records of a poll go.</summary>
internal interface IRecordSink
{
    /// <summary>How many more it takes.</summary>
    int Room { get; }

    /// <summary>Takes a record; false leaves it for the next poll.</summary>
    bool TryAdd(TopicPartition partition, RecordBatchHeader batch, RecordView record, ReadOnlyMemory<byte> payload);
}

/// <summary>
/// One partition that is read: what was fetched and not delivered yet, and how far the application is. The fetching itself is
/// <see cref="FetchLoop"/>'s. Thread-safe.
/// </summary>
internal sealed class PartitionFetcher(TopicPartition partition, long startOffset)
{
    private const int MaxBufferedFetches = 2;

    private readonly Lock gate = new();
    private readonly Queue<ReadOnlyMemory<byte>> buffered = new();
    private readonly OpenBatch current = new();
    private CancellationTokenSource interrupt = new();
    private long fetchOffset = startOffset;
    private long highWatermark = -1;
    private int fetchesBuffered;
    private int version;
    private bool isPaused;
    private bool isRevoking;
    private ArusException? failure;

    public TopicPartition Partition { get; } = partition;

    /// <summary>Wakes the fetch loop.</summary>
    public Action? Changed { get; set; }

    /// <summary>What a processor keeps with the partition; null otherwise.</summary>
    public object? Work { get; set; }

    /// <summary>Stands in the queue of partitions that have something to deliver. Guarded by the core.</summary>
    public bool IsQueued { get; set; }

    /// <summary>Grows when a seek makes worthless what was handed out before.</summary>
    public int Version
    {
        get
        {
            lock (gate)
            {
                return version;
            }
        }
    }

    /// <summary>The next offset to hand out; negative while it is not determined.</summary>
    public long Position { get; private set; } = startOffset;

    /// <summary>The next offset after what the application was given.</summary>
    public long Delivered { get; private set; } = startOffset;

    /// <summary>The next offset after what the application has finished.</summary>
    public long Processed { get; private set; } = startOffset;

    /// <summary>What the group has; -1 for unknown.</summary>
    public long Committed { get; set; } = -1;

    /// <summary>Of the last record handed out.</summary>
    public int LeaderEpoch { get; private set; } = -1;

    public ArusException? Failure
    {
        get
        {
            lock (gate)
            {
                return isPaused || isRevoking ? null : failure;
            }
        }
    }

    public long? Lag
    {
        get
        {
            lock (gate)
            {
                return highWatermark < 0 || Delivered < 0 ? null : Math.Max(0, highWatermark - Delivered);
            }
        }
    }

    /// <summary>The application has records that it has not finished.</summary>
    public bool HasUnprocessed
    {
        get
        {
            lock (gate)
            {
                return Delivered > Processed;
            }
        }
    }

    /// <summary>What a fetch may begin with; a negative offset is to be resolved first.</summary>
    public bool TryBeginFetch(out long offset, out int atVersion, out CancellationToken interrupted)
    {
        lock (gate)
        {
            offset = fetchOffset;
            atVersion = version;
            interrupted = interrupt.Token;
            return !isPaused && !isRevoking && failure is null && fetchesBuffered < MaxBufferedFetches;
        }
    }

    /// <summary>Sets the offset that a fetch found to begin at, unless there was a seek meanwhile.</summary>
    public void Resolve(long offset, int atVersion)
    {
        lock (gate)
        {
            if (atVersion == version)
            {
                // What the application still works on is not processed because the log has moved on.
                Processed = Delivered > Processed ? Processed : offset;
                fetchOffset = Position = Delivered = offset;
            }
        }
    }

    /// <summary>Takes in what was fetched, unless there was a seek meanwhile. Answers the bytes that are buffered by it.</summary>
    public int Accept(FetchResponse response, int atVersion)
    {
        lock (gate)
        {
            if (atVersion != version)
            {
                return 0;
            }

            highWatermark = response.HighWatermark;
            int bytes = 0;
            foreach (ReadOnlyMemory<byte> chunk in response.Records)
            {
                ReadOnlyMemory<byte> rest = chunk;
                while (RecordBatches.TryReadNext(ref rest, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out ValidationResult problem)
                    is not BatchReadStatus.Incomplete and var status)
                {
                    if (status == BatchReadStatus.Invalid)
                    {
                        failure = new ConsumeException(problem.Error, Partition, fetchOffset, $"{Partition} at offset {fetchOffset}: {problem.Message}");
                        return bytes;
                    }

                    buffered.Enqueue(batch);
                    bytes += batch.Length;
                    fetchOffset = new RecordBatchHeader(batch.Span).NextOffset;
                }
            }

            fetchesBuffered += bytes > 0 ? 1 : 0;
            return bytes;
        }
    }

    public void Fail(ArusException e, int atVersion)
    {
        lock (gate)
        {
            failure = atVersion == version ? e : failure;
        }
    }

    /// <summary>Hands out records until the sink is full or none is left. Answers the bytes that are not buffered any more.</summary>
    /// <param name="checkCrcs">Verify each batch before its first record.</param>
    /// <param name="hasMore">There is more to hand out.</param>
    /// <param name="atVersion">The version that what was handed out belongs to.</param>
    public int Drain(IRecordSink sink, bool checkCrcs, out bool hasMore, out int atVersion)
    {
        int released = 0;
        lock (gate)
        {
            atVersion = version;
            hasMore = false;
            if (isPaused || isRevoking || failure is not null)
            {
                return 0;
            }

            while (sink.Room > 0 && (current.HasMore || OpenNext(checkCrcs)))
            {
                Position = current.Read(Partition, Position, sink, out int leaderEpoch, out ValidationResult problem);
                LeaderEpoch = leaderEpoch;
                if (!problem.IsOk)
                {
                    failure = new ConsumeException(problem.Error, Partition, Position, $"{Partition} at offset {Position}: {problem.Message}");
                    break;
                }

                released += current.HasMore ? 0 : current.Release();
            }

            if (!current.HasMore && buffered.Count == 0)
            {
                fetchesBuffered = 0;
            }
            else
            {
                hasMore = failure is null;
            }
        }

        Changed?.Invoke();
        return released;
    }

    /// <summary>The application has been given everything before <paramref name="offset"/>.</summary>
    public void MarkDelivered(long offset, int atVersion)
    {
        lock (gate)
        {
            Delivered = atVersion == version ? offset : Delivered;
        }
    }

    /// <summary>The application is done with what it was given.</summary>
    public void MarkProcessed()
    {
        lock (gate)
        {
            Processed = Delivered;
        }
    }

    /// <summary>The application is done with everything before <paramref name="offset"/>.</summary>
    public void AdvanceProcessed(long offset)
    {
        lock (gate)
        {
            Processed = Math.Max(Processed, offset);
        }
    }

    /// <summary>The group has this offset now. What the application commits it is done with, so that no later auto-commit takes it back.</summary>
    public void MarkCommitted(long offset)
    {
        lock (gate)
        {
            Committed = offset;
            Processed = Math.Max(Processed, Math.Min(offset, Delivered));
        }
    }

    /// <summary>Goes on elsewhere. Answers the bytes that are not buffered any more.</summary>
    public int Seek(long offset)
    {
        CancellationTokenSource old;
        int released;
        lock (gate)
        {
            Delivered = Processed = offset;
            failure = null;
            (released, old) = Restart(offset);
        }

        Interrupt(old);
        return released;
    }

    /// <summary>
    /// Takes back what was handed out from <paramref name="offset"/> on, because the application has not been given it, unless there was a
    /// seek meanwhile. What it was given before stays delivered. Answers the bytes that are not buffered any more.
    /// </summary>
    public int TakeBack(long offset, int atVersion)
    {
        CancellationTokenSource old;
        int released;
        lock (gate)
        {
            if (atVersion != version || isRevoking)
            {
                return 0;
            }

            (released, old) = Restart(offset);
        }

        Interrupt(old);
        return released;
    }

    public void SetPaused(bool paused)
    {
        lock (gate)
        {
            isPaused = paused;
        }

        Changed?.Invoke();
    }

    /// <summary>Hands out nothing more: the partition is about to be given up.</summary>
    public void BeginRevoke()
    {
        lock (gate)
        {
            isRevoking = true;
        }
    }

    /// <summary>Whether what was handed out at a version is still to be delivered.</summary>
    public bool IsCurrent(int atVersion)
    {
        lock (gate)
        {
            return atVersion == version && !isRevoking;
        }
    }

    public bool HasBuffered
    {
        get
        {
            lock (gate)
            {
                return !isPaused && !isRevoking && (current.HasMore || buffered.Count > 0);
            }
        }
    }

    private bool OpenNext(bool checkCrcs)
    {
        if (failure is not null || !buffered.TryDequeue(out ReadOnlyMemory<byte> batch))
        {
            return false;
        }

        ValidationResult opened = checkCrcs ? RecordBatches.Validate(batch.Span) : ValidationResult.Ok;
        if (opened.IsOk)
        {
            opened = current.Open(batch);
        }

        if (!opened.IsOk)
        {
            failure = new ConsumeException(opened.Error, Partition, Position, $"{Partition} at offset {Position}: {opened.Message}");
        }

        return opened.IsOk;
    }

    private (int Released, CancellationTokenSource Old) Restart(long offset)
    {
        version++;
        fetchOffset = Position = offset;
        CancellationTokenSource old = interrupt;
        interrupt = new CancellationTokenSource();
        return (DropBuffered(), old);
    }

    private void Interrupt(CancellationTokenSource old)
    {
        old.Cancel();
        old.Dispose();
        Changed?.Invoke();
    }

    private int DropBuffered()
    {
        int released = current.Release();
        foreach (ReadOnlyMemory<byte> batch in buffered)
        {
            released += batch.Length;
        }

        buffered.Clear();
        fetchesBuffered = 0;
        return released;
    }
}
