namespace Arus.Storage;

/// <summary>What the logs of one provider have in common.</summary>
internal sealed class LogShared(LogProviderOptions options, ILogFileSystem fileSystem, ILogScheduler scheduler)
{
    /// <summary>Of a timer.</summary>
    private static readonly TimeSpan LongestDelay = TimeSpan.FromDays(49);

    public LogProviderOptions Options { get; } = options;

    public ILogFileSystem FileSystem { get; } = fileSystem;

    public ILogScheduler Scheduler { get; } = scheduler;

    public OpenFiles Files { get; } = new(fileSystem, Math.Max(8, options.MaxOpenFiles));

    public UnsyncedLogs Unsynced { get; } = new(fileSystem);

    public TailCacheBudget Cache { get; } = new(options.CacheBytes);

    /// <summary>Whether an fsync comes before the acknowledgement.</summary>
    public bool SyncAlways => Options.Flush.Mode == FlushMode.Always;

    /// <summary>Whether anything is synced in the course of writing.</summary>
    public bool Syncs => Options.Flush.Mode != FlushMode.Os;

    /// <summary>Unix milliseconds.</summary>
    public long NowMs => Options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <exception cref="LogException">The options do not say how.</exception>
    public Guid NewLogId() =>
        Options.NewLogId?.Invoke() ?? throw new LogException("The options of the logs do not say how the id of a replicated log is drawn.");

    public void Report(
        LogEventKind kind, TopicPartition partition, string file, string message, long fromOffset = -1, long bytes = 0,
        Exception? error = null) =>
        Options.OnEvent?.Invoke(new LogEvent(kind, partition, file, fromOffset, bytes, message, error));

    /// <summary>
    /// Deletes a file or directory that no log uses any more; a large one takes time, so the clean thread does it. What waits when the
    /// process ends is deleted when the log is next opened.
    /// </summary>
    public void DeleteLater(TopicPartition partition, string path, Action<ILogFileSystem, string> delete, TimeSpan delay = default)
    {
        if (delay <= TimeSpan.Zero)
            Delete(partition, path, delete);
        else if (delay < LongestDelay)
            _ = Task.Delay(delay, Options.Time).ContinueWith(_ => Delete(partition, path, delete), TaskScheduler.Default);
    }

    private void Delete(TopicPartition partition, string path, Action<ILogFileSystem, string> delete) =>
        Scheduler.Queue(LogLane.Clean, 0, new LogAction(
            () => delete(FileSystem, path),
            error => Report(
                LogEventKind.Failed, partition, path, $"{path} cannot be deleted and takes up space: {error.Message}", error: error)));
}
