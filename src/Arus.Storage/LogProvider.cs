using LogCheckpoint = Arus.Protocol.LogCheckpoint;

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
    private const string DeletedSuffix = ".deleted";

    /// <summary>In bytes, on every usual file system; names of logs are ASCII.</summary>
    private const int MaxFileName = 255;

    private readonly Lock _lock = new();
    private readonly Dictionary<TopicPartition, Task<PartitionLog?>> _open = [];
    private readonly LogShared _shared;
    private readonly IDisposable _directoryLock;
    private readonly bool _ownsScheduler;
    private int _nextAffinity;
    private bool _disposed;

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
            CreateDurably(_shared.FileSystem, _shared.Options.Directory);
            _directoryLock = _shared.FileSystem.LockDirectory(_shared.Options.Directory);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new LogException($"The log directory {_shared.Options.Directory} cannot be used: {error.Message}", error);
        }

        // What an earlier process renamed and had no time to delete.
        foreach (string name in _shared.FileSystem.ListDirectories(_shared.Options.Directory))
        {
            if (name.EndsWith(DeletedSuffix, StringComparison.Ordinal))
                DeleteLater(Path.Combine(_shared.Options.Directory, name));
        }
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
        TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(config);
        PartitionLog? log =
            await ReplaceAsync(partition, affinity => Open(partition, topicId, affinity, config, leaderEpoch), "opened")
                .ConfigureAwait(false);
        return log!;
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(TopicPartition partition, Guid topicId) =>
        await ReplaceAsync(partition, _ => Delete(partition, topicId), "deleted", log => topicId == Guid.Empty || log.TopicId == topicId)
            .ConfigureAwait(false);

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
        }

        await Task.WhenAll(open.Select(entry => CloseAsync(entry))).ConfigureAwait(false);
        if (_ownsScheduler)
            await _shared.Scheduler.DisposeAsync().ConfigureAwait(false);

        _directoryLock.Dispose();
    }

    /// <summary>Creates a directory and its missing parents so that a crash of the machine does not undo it.</summary>
    private static void CreateDurably(ILogFileSystem fileSystem, string directory)
    {
        var missing = new Stack<string>();
        for (string? path = directory; path is not null && !fileSystem.DirectoryExists(path); path = Path.GetDirectoryName(path))
            missing.Push(path);

        while (missing.TryPop(out string? path))
        {
            fileSystem.CreateDirectory(path);
            if (Path.GetDirectoryName(path) is { } parent)
                fileSystem.SyncDirectory(parent);
        }
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

    private PartitionLog Open(TopicPartition partition, Guid topicId, int affinity, TopicConfig config, int leaderEpoch)
    {
        string directory = Path.Combine(_shared.Options.Directory, partition.ToString());
        SetStrayAside(partition, topicId, directory);
        LoadedLog loaded = Load(partition, directory, config, leaderEpoch);
        Guid id = topicId != Guid.Empty ? topicId : loaded.Checkpoint?.TopicId ?? Guid.Empty;
        return new PartitionLog(_shared, partition, directory, id, affinity, config, loaded, this);
    }

    private LoadedLog Load(TopicPartition partition, string directory, TopicConfig config, int leaderEpoch)
    {
        try
        {
            LoadedLog loaded = new LogLoader(_shared, partition, directory, config, leaderEpoch).Load();
            _shared.Unsynced.Remove(directory);
            return loaded;
        }
        catch (IOException)
        {
            _shared.Unsynced.Add(directory);
            throw;
        }
    }

    /// <summary>Removes a log's directory: it is renamed at once, so that its name is free, and deleted in the background.</summary>
    private PartitionLog? Delete(TopicPartition partition, Guid topicId)
    {
        string directory = Path.Combine(_shared.Options.Directory, partition.ToString());
        if (FindOther(topicId, directory) is null && _shared.FileSystem.DirectoryExists(directory))
        {
            DeleteLater(SetAside(directory, DeletedSuffix));
            _shared.Unsynced.Remove(directory);
        }

        return null;
    }

    private void DeleteLater(string directory) =>
        _shared.DeleteLater(default, directory, static (fileSystem, path) => fileSystem.DeleteDirectory(path));

    /// <summary>
    /// Gives a directory a name that none has yet: <c>directory.1.deleted</c>, <c>directory.2.deleted</c>, and so on. Of a long name only
    /// as much is kept as a file name has room for.
    /// </summary>
    private string SetAside(string directory, string suffix)
    {
        ILogFileSystem fileSystem = _shared.FileSystem;
        int number = 1;
        while (fileSystem.DirectoryExists(Name()))
            number++;

        fileSystem.RenameDirectory(directory, Name());
        fileSystem.SyncDirectory(_shared.Options.Directory);
        return Name();

        string Name()
        {
            string end = FormattableString.Invariant($".{number}{suffix}");
            string name = Path.GetFileName(directory);
            return Path.Combine(_shared.Options.Directory, name[..Math.Min(name.Length, MaxFileName - end.Length)] + end);
        }
    }

    /// <summary>What a directory says of itself when it belongs to another topic of the same name; null when it does not.</summary>
    private LogCheckpoint? FindOther(Guid topicId, string directory) =>
        topicId != Guid.Empty && _shared.FileSystem.DirectoryExists(directory)
        && LogCheckpointFile.Read(_shared.FileSystem, directory, out _) is { } checkpoint
        && checkpoint.TopicId != Guid.Empty && checkpoint.TopicId != topicId
            ? checkpoint
            : null;

    /// <summary>Keeps the directory that an earlier topic of the same name left behind under another name.</summary>
    private void SetStrayAside(TopicPartition partition, Guid topicId, string directory)
    {
        if (FindOther(topicId, directory) is not { } checkpoint)
            return;

        string stray = SetAside(directory, ".stray");
        _shared.Report(
            LogEventKind.SetAside, partition, directory,
            $"{directory} belongs to topic id {checkpoint.TopicId}, not {topicId}; it was renamed to {Path.GetFileName(stray)}. "
            + "Delete it when its records are not needed.");
    }
}
