namespace Arus.Storage;

/// <summary>
/// The log over a file system. Three parties work on it: the appender gives offsets and copies batches into the tail cache; the
/// log's I/O thread writes, syncs and publishes them, and makes every other change to the files; readers take what is published.
/// </summary>
/// <remarks>Locks are taken in this order: append, queue, meta, state. The queue and the state lock are held for moments only, and never during I/O.</remarks>
internal sealed partial class PartitionLog : IPartitionLog, ILogWork
{
    public const string DeletedSuffix = ".deleted";

    private readonly LogShared _shared;
    private readonly string _directory;
    private readonly Guid _topicId;
    private readonly int _affinity;
    private readonly Action<PartitionLog> _onClosed;
    private readonly Func<ValueTask> _deleteClosed;
    private readonly OffsetWaiters _waiters;
    private readonly TailCache _cache;

    /// <summary>Guards what is published: segments, epochs, offsets, cached chunks.</summary>
    private readonly Lock _stateLock = new();
    private readonly List<Segment> _segments;
    private readonly LeaderEpochs _epochs;
    private long _logStart;
    private long _highWatermark;
    private long _sizeBytes;
    private long _cleanedOffset;
    private TopicConfig _config;
    private Exception? _failure;
    private LogPhase _phase;

    public PartitionLog(
        LogShared shared, TopicPartition partition, string directory, Guid topicId, int affinity, TopicConfig config, RecoveredLog recovered,
        Action<PartitionLog> onClosed, Func<ValueTask> deleteClosed)
    {
        _shared = shared;
        Partition = partition;
        _directory = directory;
        _topicId = topicId;
        _affinity = affinity;
        _config = config;
        _onClosed = onClosed;
        _deleteClosed = deleteClosed;
        _waiters = new OffsetWaiters(shared.Options.Time);
        _cache = new TailCache(shared.Cache, _stateLock);
        _segments = recovered.Segments;
        _epochs = recovered.Epochs;
        _producers = recovered.Producers;
        _logStart = recovered.LogStartOffset;
        _highWatermark = _nextOffset = recovered.LogEndOffset;
        _sizeBytes = _segments.Sum(segment => (long)segment.Size);
        _cleanedOffset = recovered.Checkpoint?.CleanedOffset ?? 0;
        _recovery = recovered.Checkpoint is { } checkpoint
            ? new RecoveryPoint(checkpoint.RecoveryOffset, checkpoint.RecoverySegment, checkpoint.RecoveryPosition)
            : new RecoveryPoint(-1, -1, 0);
        if (_segments.Count > 0)
        {
            Segment active = _segments[^1];
            (_activeSize, _activeFirstMs, _activeBase) = (active.Size, active.FirstAppendMs, active.BaseOffset);
        }
    }

    private enum LogPhase
    {
        Open = 0,
        Closing = 1,
        Closed = 2,
    }

    public TopicPartition Partition { get; }

    public TopicConfig Config => Volatile.Read(ref _config);

    public long LogStartOffset => Volatile.Read(ref _logStart);

    public long LogEndOffset => Volatile.Read(ref _nextOffset);

    public long HighWatermark => Volatile.Read(ref _highWatermark);

    public long SizeBytes => Volatile.Read(ref _sizeBytes);

    public Exception? Failure => Volatile.Read(ref _failure);

    public int SegmentCount
    {
        get
        {
            lock (_stateLock)
            {
                return _segments.Count;
            }
        }
    }

    public int LatestEpoch
    {
        get
        {
            lock (_stateLock)
            {
                return _epochs.Latest;
            }
        }
    }

    public LogEpochEnd EpochEnd(int leaderEpoch)
    {
        lock (_stateLock)
        {
            return _epochs.End(leaderEpoch, _nextOffset);
        }
    }

    public ValueTask<bool> WaitForAsync(long offset, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        _waiters.WaitAsync(this, offset, timeout, cancellationToken);

    public void Reconfigure(TopicConfig config) => Volatile.Write(ref _config, config);

    public override string ToString() => _directory;

    private void ScheduleIo()
    {
        if (Interlocked.Exchange(ref _scheduled, 1) == 0)
        {
            _shared.Scheduler.Queue(LogLane.Write, _affinity, this);
        }
    }

    /// <summary>Stops the log for good: nothing under way is acknowledged. Called on the I/O thread.</summary>
    private void Fail(Exception error)
    {
        if (Interlocked.CompareExchange(ref _failure, error, null) is null)
        {
            _shared.Report(
                LogEventKind.Failed, Partition, _directory, $"The log in {_directory} failed and is closed: {error.Message}", error: error);
        }

        _waiters.Close();
    }
}
