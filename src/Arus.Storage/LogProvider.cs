namespace Arus.Storage;

/// <summary>
/// The logs of one silo in one directory, each in <c>topic-partition</c>; with a <see cref="MemoryFileSystem"/>, in memory.
/// Thread-safe. Dispose it when its logs are closed; it closes those that are not.
/// </summary>
/// <remarks>
/// Nothing here continues in its caller's context: the caller may be a grain whose silo was killed and which gets no further turn, and
/// the next opening of the log and the provider's disposal wait for an opening or closing that it began.
/// </remarks>
public sealed class LogProvider : IPartitionLogProvider
{
    private readonly Lock _lock = new();
    private readonly Dictionary<TopicPartition, Task<PartitionLog?>> _open = [];
    private readonly LogShared _shared;
    private readonly LogDirectories _directories;
    private readonly IDisposable _directoryLock;
    private readonly bool _ownsScheduler;
    private int _nextAffinity;
    private bool _disposed;

    /// <summary>Null until the first replicated log is opened.</summary>
    private ITimer? _checkpointTimer;

    /// <param name="fileSystem">Null for the machine's.</param>
    /// <param name="scheduler">Null for threads of its own.</param>
    /// <exception cref="LogException">The directory cannot be made, or another process uses it.</exception>
    public LogProvider(LogProviderOptions options, ILogFileSystem? fileSystem = null, ILogScheduler? scheduler = null)
    {
        _ownsScheduler = scheduler is null;
        _shared = new LogShared(
            options with { Directory = Path.GetFullPath(options.Directory) }, fileSystem ?? PhysicalFileSystem.Instance,
            scheduler ?? new LogThreads(options.IoThreads));
        try
        {
            LogDirectories.CreateDurably(_shared.FileSystem, _shared.Options.Directory);
            _directoryLock = _shared.FileSystem.LockDirectory(_shared.Options.Directory);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new LogException($"The log directory {_shared.Options.Directory} cannot be used: {error.Message}", error);
        }

        _directories = new LogDirectories(_shared);
        _directories.DeleteLeftovers();
    }

    /// <summary>Logs in memory alone, for tests and brokers that keep nothing.</summary>
    public static LogProvider InMemory(TimeProvider? time = null, Action<LogEvent>? onEvent = null) =>
        new(
            new LogProviderOptions { Directory = "/memory", Time = time ?? TimeProvider.System, IoThreads = 1, OnEvent = onEvent },
            new MemoryFileSystem());

    /// <summary>Logs that are open now.</summary>
    public int OpenLogs
    {
        get
        {
            lock (_lock)
                return _open.Count;
        }
    }

    /// <summary>Bytes of the tail cache in use.</summary>
    public long CachedBytes => _shared.Cache.UsedBytes;

    /// <summary>Segment files that are open now.</summary>
    public int OpenFiles => _shared.Files.Count;

    /// <inheritdoc/>
    /// <remarks>A log that is still open is closed first: the last to open has the newer leader epoch.</remarks>
    public async ValueTask<IPartitionLog> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, LogReplication? replication = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(config);
        PartitionLog? log =
            await ReplaceAsync(partition, affinity => Open(partition, topicId, affinity, config, leaderEpoch, replication), "opened")
                .ConfigureAwait(false);
        return log!;
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(TopicPartition partition, Guid topicId) =>
        await ReplaceAsync(partition, _ => Delete(partition, topicId), "deleted", log => topicId == Guid.Empty || log.TopicId == topicId)
            .ConfigureAwait(false);

    private PartitionLog? Delete(TopicPartition partition, Guid topicId)
    {
        _directories.Delete(partition, topicId);
        return null;
    }

    /// <summary>
    /// Closes the partition's log and puts another in its place, or none. The next call for the partition waits for it: what is done to
    /// one partition is done one after the other.
    /// </summary>
    /// <param name="deletes">Whether the log that is closed is deleted then; null for no.</param>
    private async Task<PartitionLog?> ReplaceAsync(
        TopicPartition partition, Func<int, PartitionLog?> replacement, string purpose, Func<PartitionLog, bool>? deletes = null)
    {
        var entry = new TaskCompletionSource<PartitionLog?>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<PartitionLog?>? before;
        int affinity;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            before = _open.GetValueOrDefault(partition);
            _open[partition] = entry.Task;
            affinity = _nextAffinity++;
        }

        PartitionLog? log = null;
        try
        {
            if (before is not null)
                await CloseAsync(before, deletes).ConfigureAwait(false);

            var work = new LogTask<PartitionLog?>(
                () => replacement(affinity),
                error => error as LogException ?? new LogException($"The log of {partition} cannot be {purpose}: {error.Message}", error));
            _shared.Scheduler.Queue(LogLane.Read, affinity, work);
            return log = await work.Task.ConfigureAwait(false);
        }
        finally
        {
            entry.SetResult(log);
            if (log is null)
                Forget(partition, found => found == entry.Task);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task<PartitionLog?>[] open;
        lock (_lock)
        {
            if (_disposed)
                return;

            _disposed = true;
            open = [.. _open.Values];
            _checkpointTimer?.Dispose();
        }

        await Task.WhenAll(open.Select(entry => CloseAsync(entry))).ConfigureAwait(false);
        if (_ownsScheduler)
            await _shared.Scheduler.DisposeAsync().ConfigureAwait(false);

        _directoryLock.Dispose();
    }

    /// <summary>Forgets a log that has closed by itself.</summary>
    internal void OnClosed(PartitionLog log) =>
        Forget(log.Partition, entry => entry.IsCompletedSuccessfully && entry.Result == log);

    private static async Task CloseAsync(Task<PartitionLog?> entry, Func<PartitionLog, bool>? deletes = null)
    {
        if (await entry.ConfigureAwait(false) is { } log)
            await log.CloseAsync(checkpoint: deletes?.Invoke(log) != true).ConfigureAwait(false);
    }

    private void Forget(TopicPartition partition, Func<Task<PartitionLog?>, bool> isGone)
    {
        lock (_lock)
        {
            if (_open.GetValueOrDefault(partition) is { } entry && isGone(entry))
                _open.Remove(partition);
        }
    }

    private PartitionLog Open(
        TopicPartition partition, Guid topicId, int affinity, TopicConfig config, int leaderEpoch, LogReplication? replication)
    {
        _directories.SetStrayAside(partition, topicId);
        string directory = _directories.PathOf(partition);
        ReplicaLoader? replica = replication is null ? null : new ReplicaLoader(_shared, partition, directory);
        int lastEpoch = replication is null ? leaderEpoch : RecordBatchHeader.NoLeaderEpoch; // Elections may be unknown here as yet.
        LoadedLog loaded = Load(new LogLoader(_shared, partition, directory, config, lastEpoch, replica), directory);
        Guid id = topicId != Guid.Empty ? topicId : loaded.Checkpoint?.TopicId ?? Guid.Empty;
        loaded.Replica = replica?.Settle(loaded, id);
        var log = new PartitionLog(_shared, partition, directory, id, affinity, config, loaded, this, replication);
        if (replication is not null)
        {
            log.ResumeCut();
            StartCheckpoints();
        }

        return log;
    }

    private LoadedLog Load(LogLoader loader, string directory)
    {
        try
        {
            LoadedLog loaded = loader.Load();
            _shared.Unsynced.Remove(directory);
            return loaded;
        }
        catch (IOException)
        {
            _shared.Unsynced.Add(directory);
            throw;
        }
    }

    private void StartCheckpoints()
    {
        lock (_lock)
        {
            TimeSpan period = _shared.Options.HighWatermarkCheckpointInterval;
            if (!_disposed)
                _checkpointTimer ??= _shared.Options.Time.CreateTimer(_ => CheckpointOffsets(), null, period, period);
        }
    }

    /// <summary>Has the high watermarks written that moved.</summary>
    private void CheckpointOffsets()
    {
        Task<PartitionLog?>[] open;
        lock (_lock)
            open = [.. _open.Values];

        foreach (Task<PartitionLog?> entry in open)
        {
            if (entry.IsCompletedSuccessfully)
                entry.Result?.CheckpointOffsets();
        }
    }
}
