namespace Arus.Storage;

/// <summary>
/// The log over rows of a shared store. A group commit is one row, inserted under the offset at which the log ends: of two leaders
/// that are active at once, one loses that insert, reads what the other wrote, and goes on behind it, or stops when the other's
/// epoch is newer. Any silo can take over any partition.
/// </summary>
/// <remarks>
/// <para>A leader claims its epoch in the head before it writes, and looks at the head again after every insert, before it
/// acknowledges. So the rows of an older leader are either seen by the newer one when it claims, or not acknowledged; and rows may be
/// merged and deleted although an older leader may still try to insert where they were.</para>
/// <para>Rows are never changed. Merging, compaction and truncation write new ones beside them; then the head, in one step, lists these
/// and counts those as garbage; then the garbage is deleted. A truncation besides begins a new generation of keys: what an older leader
/// still inserts into the old one, nobody looks for.</para>
/// <para>The last row is left alone by compaction, as the active segment of a log in files is.</para>
/// </remarks>
public sealed partial class RowPartitionLog : IPartitionLog
{
    /// <summary>Claimed by who deletes the log; it is above every leader's.</summary>
    private const int DeletedEpoch = int.MaxValue;

    private readonly ISegmentRowStore _store;
    private readonly RowLogOptions _options;
    private readonly OffsetWaiters _waiters;

    /// <summary>Guards the fields below. Whoever changes the log does so inside an operation; operations run one after the other.</summary>
    private readonly Lock _lock = new();
    private readonly Queue<Operation> _operations = new();
    private readonly Queue<PendingAppend> _appends = new();
    private readonly RowCache _cache;
    private List<RowInfo> _rows = [];
    private LeaderEpochs _epochs = new();
    private ProducerStateManager _producers = new();
    private List<string> _garbage = [];
    private TopicConfig _config;
    private Exception? _failure;
    private string? _headETag;
    private long _logStart;
    private long _next;

    /// <summary>What readers are told of <see cref="_next"/>, which a claim takes back to the head's while it reads the rows again.</summary>
    private long _end;
    private long _sizeBytes;
    private long _pendingBytes;
    private int _claimedEpoch = RecordBatchHeader.NoLeaderEpoch;
    private int _rowsSinceCheckpoint;
    private int _generation;
    private long _cleanedOffset;
    private bool _running;

    /// <summary>Whether this log itself has claimed <see cref="_claimedEpoch"/>.</summary>
    private bool _isLeader;
    private bool _closed;

    private RowPartitionLog(TopicPartition partition, ISegmentRowStore store, TopicConfig config, RowLogOptions options)
    {
        Partition = partition;
        _store = store;
        _config = config;
        _options = options;
        _waiters = new OffsetWaiters(options.Time);
        _cache = new RowCache(options.CacheBytes);
    }

    public TopicPartition Partition { get; }

    public TopicConfig Config => Volatile.Read(ref _config);

    public long LogStartOffset => Volatile.Read(ref _logStart);

    /// <summary>The same as <see cref="HighWatermark"/>: offsets are given when a row is written.</summary>
    public long LogEndOffset => HighWatermark;

    public long HighWatermark => Volatile.Read(ref _end);

    public long SizeBytes => Volatile.Read(ref _sizeBytes);

    public Exception? Failure => Volatile.Read(ref _failure);

    public int SegmentCount
    {
        get
        {
            lock (_lock)
            {
                return _rows.Count;
            }
        }
    }

    public int LatestEpoch
    {
        get
        {
            lock (_lock)
            {
                return _epochs.Latest;
            }
        }
    }

    private long NowMs => _options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Opens a partition's log: reads the head, then the rows behind it.</summary>
    /// <param name="leaderEpoch">The epoch to claim at once; -1 to read only until the first append, which brings one.</param>
    /// <exception cref="LogException">The store fails, or holds something damaged, or a newer leader has claimed the log.</exception>
    public static async Task<RowPartitionLog> OpenAsync(
        TopicPartition partition, ISegmentRowStore store, TopicConfig config, RowLogOptions options, int leaderEpoch = -1)
    {
        var log = new RowPartitionLog(partition, store, config, options);
        await log.LoadHeadAsync().ConfigureAwait(false);
        await log.ProbeAsync().ConfigureAwait(false);
        if (leaderEpoch >= 0 && await log.ClaimAsync(leaderEpoch).ConfigureAwait(false) is { } fenced)
        {
            throw new LogException(fenced, error: ErrorCode.FencedLeaderEpoch);
        }

        return log;
    }

    public LogEpochEnd EpochEnd(int leaderEpoch)
    {
        lock (_lock)
        {
            return _epochs.End(leaderEpoch, _end);
        }
    }

    public ValueTask<bool> WaitForAsync(long offset, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        _waiters.WaitAsync(this, offset, timeout, cancellationToken);

    public void Reconfigure(TopicConfig config) => Volatile.Write(ref _config, config);

    /// <summary>Nothing to do: what is acknowledged is in the store.</summary>
    public ValueTask FlushAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        Task closing;
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            closing = Enqueue(async () =>
            {
                if (_failure is null && _rowsSinceCheckpoint > 0)
                {
                    await TryCheckpointAsync().ConfigureAwait(false);
                }

                return true;
            });
            _closed = true;
        }

        Pump();
        await closing.ConfigureAwait(false);
        _waiters.Close();
    }

    public async ValueTask DeleteAsync()
    {
        Task deleting;
        lock (_lock)
        {
            _closed = true;
            deleting = Enqueue(async () =>
            {
                // Whoever leads finds an epoch above its own; and the head tells what the last leader left.
                if (await ClaimAsync(DeletedEpoch).ConfigureAwait(false) is { } refused)
                {
                    throw new LogException(refused);
                }

                _garbage.AddRange(_rows.Select(row => row.Key));
                await CollectGarbageAsync().ConfigureAwait(false);
                await RetryAsync(async () =>
                {
                    await _store.DeleteHeadAsync().ConfigureAwait(false);
                    return true;
                }).ConfigureAwait(false);
                return true;
            });
        }

        Pump();
        await deleting.ConfigureAwait(false);
        _waiters.Close();
    }

    private void Fail(Exception error)
    {
        Interlocked.CompareExchange(ref _failure, error, null);
        _waiters.Close();
    }

    /// <summary>Queues an operation behind those that run; the caller holds the lock, and calls <see cref="Pump"/> without it.</summary>
    private Task<T> Enqueue<T>(Func<Task<T>> action)
    {
        var operation = new Operation<T>(action, _options.ContinuesInline);
        _operations.Enqueue(operation);
        return operation.Task;
    }

    private async Task<T> RunAsync<T>(Func<Task<T>> action)
    {
        Task<T> task;
        lock (_lock)
        {
            ThrowIfUnusable(_closed);
            task = Enqueue(() =>
            {
                // What failed since may have left in memory what the store does not have.
                ThrowIfUnusable(closed: false);
                return action();
            });
        }

        Pump();
        return await task.ConfigureAwait(false);
    }

    private void ThrowIfUnusable(bool closed)
    {
        if (closed || _failure is not null)
        {
            throw new LogException($"The log of {Partition} {(closed ? "is closed" : $"failed: {_failure!.Message}")}", _failure);
        }
    }

    /// <summary>Starts the loop that runs appends and operations, unless it runs.</summary>
    private void Pump()
    {
        lock (_lock)
        {
            if (_running)
            {
                return;
            }

            _running = true;
        }

        _ = PumpAsync();
    }

    private async Task PumpAsync()
    {
        while (true)
        {
            Operation? operation;
            List<PendingAppend>? appends = null;
            lock (_lock)
            {
                if (!_operations.TryDequeue(out operation))
                {
                    appends = TakeAppends();
                    if (appends.Count == 0)
                    {
                        _running = false;
                        return;
                    }
                }
            }

            await (operation is not null ? operation.ExecuteAsync() : CommitAsync(appends!)).ConfigureAwait(false);
        }
    }

    private abstract class Operation
    {
        public abstract Task ExecuteAsync();
    }

    private sealed class Operation<T>(Func<Task<T>> action, bool inline) : Operation
    {
        private readonly TaskCompletionSource<T> _source =
            new(inline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Task => _source.Task;

        public override async Task ExecuteAsync()
        {
            try
            {
                _source.SetResult(await action().ConfigureAwait(false));
            }
            catch (Exception error)
            {
                _source.SetException(error as LogException ?? new LogException($"The store failed: {error.Message}", error));
            }
        }
    }
}
