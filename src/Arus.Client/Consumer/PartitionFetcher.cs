using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// One partition that is read: what was fetched and not delivered yet, and (in the other part) how far the application is. The
/// fetching itself is <see cref="FetchLoop"/>'s. Thread-safe.
/// </summary>
internal sealed partial class PartitionFetcher(
    TopicPartition partition, long startOffset, IsolationLevel isolation = IsolationLevel.ReadUncommitted)
{
    private readonly Lock _gate = new();
    private readonly FetchedBatches _batches = new();
    private CancellationTokenSource _interrupt = new();
    private long _fetchOffset = startOffset;

    /// <summary>Where reading ends for now; -1 while that is not known.</summary>
    private long _end = -1;
    private int _version;
    private bool _isPaused;

    /// <summary>Nothing is handed out any more: the partition is about to be given up.</summary>
    private bool _isRevoked;

    /// <summary>The position is to be reset: nothing is fetched until the application has been given what was fetched before.</summary>
    private bool _isResetPending;

    /// <summary>Of the record at <see cref="Position"/>.</summary>
    private ArusException? _failure;

    /// <summary>Of what would follow what is buffered.</summary>
    private ArusException? _fetchFailure;

    public TopicPartition Partition { get; } = partition;

    /// <summary>Wakes the fetch loop.</summary>
    public Action? Changed { get; set; }

    /// <summary>The state that a processor keeps with the partition; null otherwise.</summary>
    public object? Work { get; set; }

    /// <summary>Whether the partition is in the queue of those that have records to deliver. Guarded by the core.</summary>
    public bool IsQueued { get; set; }

    /// <summary>Grows with each seek or reset, which invalidates what was handed out before.</summary>
    public int Version => Read(static f => f._version);

    /// <summary>Why nothing can be handed out any more; null while something can.</summary>
    public ArusException? Failure =>
        Read(static f => f.IsIdle ? null : f._failure ?? (f._batches.IsEmpty ? f._fetchFailure : null));

    public bool HasBuffered => Read(static f => !f.IsIdle && !f._batches.IsEmpty);

    /// <summary>An upper bound of the records that are buffered, as their batches say.</summary>
    public int BufferedRecords => Read(static f => f._batches.Count);

    private bool IsIdle => _isPaused || _isRevoked;

    /// <summary>The application has been given everything that was fetched.</summary>
    private bool IsDrained => _batches.IsEmpty && _delivered >= _position;

    /// <summary>What a fetch may begin with; a negative offset is to be resolved first.</summary>
    public bool TryBeginFetch(out long offset, out int atVersion, out CancellationToken interrupted)
    {
        lock (_gate)
        {
            offset = _fetchOffset;
            atVersion = _version;
            interrupted = _interrupt.Token;
            _isResetPending &= !IsDrained;
            return !IsIdle && !_isResetPending && _failure is null && _fetchFailure is null && !_batches.IsFull;
        }
    }

    /// <summary>
    /// Whether the position may be reset now, because the offset after what was fetched is gone. Before, the application is given what
    /// was fetched; then that offset is fetched again.
    /// </summary>
    public bool MayReset(int atVersion)
    {
        lock (_gate)
        {
            _isResetPending = atVersion == _version && !IsDrained;
            return atVersion == _version && !_isResetPending;
        }
    }

    /// <summary>Sets the position that a look-up has resolved, unless there was a seek since.</summary>
    public void Resolve(long offset, int atVersion)
    {
        lock (_gate)
        {
            if (atVersion == _version)
            {
                // What the application still works on is not processed because the log has moved on; what comes again is not either.
                _rewinds += offset < _position ? 1 : 0;
                _processed = _delivered > _processed ? Math.Min(_processed, offset) : offset;
                _fetchOffset = _position = _delivered = offset;
                _version++;
            }
        }
    }

    /// <summary>Buffers the fetched batches, unless there was a seek since. Returns the number of bytes added.</summary>
    public int Accept(PartitionReadResult response, int atVersion)
    {
        lock (_gate)
        {
            if (atVersion != _version)
                return 0;

            _end = isolation == IsolationLevel.ReadCommitted ? response.LastStableOffset : response.HighWatermark;
            int bytes = _batches.Add(response, ref _fetchOffset, out ValidationResult problem);
            _fetchFailure = problem.IsOk ? null : Unreadable(_fetchOffset, problem);
            return bytes;
        }
    }

    /// <summary>Nothing more can be fetched; what was fetched is still handed out.</summary>
    public void Fail(ArusException e, int atVersion)
    {
        lock (_gate)
            _fetchFailure = atVersion == _version ? e : _fetchFailure;
    }

    /// <summary>Hands out records until the sink is full or none is left. Returns the number of bytes released.</summary>
    /// <param name="checkCrcs">Verify each batch before its first record.</param>
    /// <param name="hasMore">There is more to hand out.</param>
    /// <param name="atVersion">The version that what was handed out belongs to.</param>
    public int Drain(IRecordSink sink, bool checkCrcs, out bool hasMore, out int atVersion)
    {
        int released;
        lock (_gate)
        {
            atVersion = _version;
            hasMore = false;
            if (IsIdle || _failure is not null)
                return 0;

            released = _batches.Read(Partition, sink, checkCrcs, ref _position, ref _leaderEpoch, out ValidationResult problem);
            _failure = problem.IsOk ? null : Unreadable(_position, problem);
            hasMore = problem.IsOk && !_batches.IsEmpty;
        }

        Changed?.Invoke();
        return released;
    }

    /// <summary>Moves all positions. Returns the number of bytes released.</summary>
    public int Seek(long offset) => Restart(offset, atVersion: null);

    /// <summary>
    /// Takes back the records from <paramref name="offset"/> on that were drained and not delivered, unless there was a seek since. What
    /// was delivered before stays delivered. Returns the number of bytes released.
    /// </summary>
    public int TakeBack(long offset, int atVersion) => Restart(offset, atVersion);

    public void SetPaused(bool paused)
    {
        lock (_gate)
            _isPaused = paused;

        Changed?.Invoke();
    }

    /// <summary>Hands out nothing more: the partition is about to be given up.</summary>
    public void BeginRevoke()
    {
        lock (_gate)
            _isRevoked = true;
    }

    private ConsumeException Unreadable(long offset, in ValidationResult problem) =>
        new(problem.Error, Partition, offset, $"{Partition} at offset {offset}: {problem.Message}");

    private int Restart(long offset, int? atVersion)
    {
        CancellationTokenSource interrupted;
        int released;
        lock (_gate)
        {
            if (atVersion is not null && (atVersion != _version || _isRevoked))
                return 0;

            // Between what the application was given and a record that is taken back there are no records.
            _processed = atVersion is null || _processed >= _delivered ? offset : _processed;
            _fetchOffset = _position = _delivered = offset;
            _version++;
            _failure = _fetchFailure = null;
            _isResetPending = false;
            (interrupted, _interrupt) = (_interrupt, new CancellationTokenSource());
            released = _batches.Clear();
        }

        interrupted.Cancel();
        interrupted.Dispose();
        Changed?.Invoke();
        return released;
    }

    private T Read<T>(Func<PartitionFetcher, T> read)
    {
        lock (_gate)
            return read(this);
    }
}
