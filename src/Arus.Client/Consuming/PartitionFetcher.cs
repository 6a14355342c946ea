using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// One partition that is read: what was fetched and not delivered yet, and (in the other part) how far the application is. The
/// fetching itself is <see cref="FetchLoop"/>'s. Thread-safe.
/// </summary>
internal sealed partial class PartitionFetcher(TopicPartition partition, long startOffset)
{
    private readonly Lock gate = new();
    private readonly FetchedBatches batches = new();
    private CancellationTokenSource interrupt = new();
    private long fetchOffset = startOffset;
    private long highWatermark = -1;
    private int version;
    private bool isPaused;
    private bool isRevoking;
    private bool isFetchHeld;

    /// <summary>Of the record at <see cref="Position"/>.</summary>
    private ArusException? failure;

    /// <summary>Of what would follow what is buffered.</summary>
    private ArusException? fetchFailure;

    public TopicPartition Partition { get; } = partition;

    /// <summary>Wakes the fetch loop.</summary>
    public Action? Changed { get; set; }

    /// <summary>What a processor keeps with the partition; null otherwise.</summary>
    public object? Work { get; set; }

    /// <summary>Stands in the queue of partitions that have something to deliver. Guarded by the core.</summary>
    public bool IsQueued { get; set; }

    /// <summary>Grows when a seek or a reset makes worthless what was handed out before.</summary>
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

    /// <summary>Why nothing can be handed out any more; null while something can.</summary>
    public ArusException? Failure
    {
        get
        {
            lock (gate)
            {
                return IsIdle ? null : failure ?? (batches.IsEmpty ? fetchFailure : null);
            }
        }
    }

    public bool HasBuffered
    {
        get
        {
            lock (gate)
            {
                return !IsIdle && !batches.IsEmpty;
            }
        }
    }

    /// <summary>An upper bound of the records that are buffered, as their batches say.</summary>
    public int BufferedRecords
    {
        get
        {
            lock (gate)
            {
                return batches.Count;
            }
        }
    }

    private bool IsIdle => isPaused || isRevoking;

    /// <summary>The application has been given everything that was fetched.</summary>
    private bool IsDrained => batches.IsEmpty && Delivered >= Position;

    /// <summary>What a fetch may begin with; a negative offset is to be resolved first.</summary>
    public bool TryBeginFetch(out long offset, out int atVersion, out CancellationToken interrupted)
    {
        lock (gate)
        {
            offset = fetchOffset;
            atVersion = version;
            interrupted = interrupt.Token;
            isFetchHeld &= !IsDrained;
            return !IsIdle && !isFetchHeld && failure is null && fetchFailure is null && !batches.IsFull;
        }
    }

    /// <summary>
    /// Whether the position may be reset now, because the offset after what was fetched is gone. Before, the application is given what
    /// was fetched; then that offset is asked for again.
    /// </summary>
    public bool MayReset(int atVersion)
    {
        lock (gate)
        {
            isFetchHeld = atVersion == version && !IsDrained;
            return atVersion == version && !isFetchHeld;
        }
    }

    /// <summary>Sets the offset that a fetch found to begin at, unless there was a seek meanwhile.</summary>
    public void Resolve(long offset, int atVersion)
    {
        lock (gate)
        {
            if (atVersion == version)
            {
                // What the application still works on is not processed because the log has moved on; what comes again is not either.
                Rewinds += offset < Position ? 1 : 0;
                Processed = Delivered > Processed ? Math.Min(Processed, offset) : offset;
                fetchOffset = Position = Delivered = offset;
                version++;
            }
        }
    }

    /// <summary>Takes in what was fetched, unless there was a seek meanwhile. Answers the bytes that are buffered by it.</summary>
    public int Accept(PartitionReadResult response, int atVersion)
    {
        lock (gate)
        {
            if (atVersion != version)
            {
                return 0;
            }

            highWatermark = response.HighWatermark;
            int bytes = batches.Add(response, ref fetchOffset, out ValidationResult problem);
            fetchFailure = problem.IsOk ? null : Unreadable(fetchOffset, problem);
            return bytes;
        }
    }

    /// <summary>Nothing more can be fetched; what was fetched is still handed out.</summary>
    public void Fail(ArusException e, int atVersion)
    {
        lock (gate)
        {
            fetchFailure = atVersion == version ? e : fetchFailure;
        }
    }

    /// <summary>Hands out records until the sink is full or none is left. Answers the bytes that are not buffered any more.</summary>
    /// <param name="checkCrcs">Verify each batch before its first record.</param>
    /// <param name="hasMore">There is more to hand out.</param>
    /// <param name="atVersion">The version that what was handed out belongs to.</param>
    public int Drain(IRecordSink sink, bool checkCrcs, out bool hasMore, out int atVersion)
    {
        int released;
        lock (gate)
        {
            atVersion = version;
            hasMore = false;
            if (IsIdle || failure is not null)
            {
                return 0;
            }

            long position = Position;
            int leaderEpoch = LeaderEpoch;
            released = batches.Read(Partition, sink, checkCrcs, ref position, ref leaderEpoch, out ValidationResult problem);
            (Position, LeaderEpoch) = (position, leaderEpoch);
            failure = problem.IsOk ? null : Unreadable(position, problem);
            hasMore = problem.IsOk && !batches.IsEmpty;
        }

        Changed?.Invoke();
        return released;
    }

    /// <summary>Goes on elsewhere. Answers the bytes that are not buffered any more.</summary>
    public int Seek(long offset)
    {
        CancellationTokenSource old;
        int released;
        lock (gate)
        {
            Delivered = Processed = offset;
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

            // Between what it was given and here there are no records.
            Processed = Processed < Delivered ? Processed : offset;
            Delivered = offset;
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

    private ConsumeException Unreadable(long offset, in ValidationResult problem) =>
        new(problem.Error, Partition, offset, $"{Partition} at offset {offset}: {problem.Message}");

    private (int Released, CancellationTokenSource Old) Restart(long offset)
    {
        version++;
        fetchOffset = Position = offset;
        failure = fetchFailure = null;
        isFetchHeld = false;
        CancellationTokenSource old = interrupt;
        interrupt = new CancellationTokenSource();
        return (batches.Clear(), old);
    }

    private void Interrupt(CancellationTokenSource old)
    {
        old.Cancel();
        old.Dispose();
        Changed?.Invoke();
    }
}
