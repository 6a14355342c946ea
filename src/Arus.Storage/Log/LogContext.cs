namespace Arus.Storage;

internal enum LogPhase
{
    Open = 0,
    Closing = 1,
    Closed = 2,
}

/// <summary>Records of a segment that cannot be read.</summary>
internal sealed record SegmentDamage(Segment Segment, LogException Reason);

/// <summary>What the roles of one log in files have in common.</summary>
/// <param name="io">The log's turn on its I/O thread.</param>
/// <param name="failed">As of <see cref="LogReplication.Failed"/>.</param>
internal sealed class LogContext(
    LogShared shared, TopicPartition partition, string directory, Guid topicId, int affinity, TopicConfig config, ILogWork io,
    Action? failed)
    : LogState(partition, config, shared.Options.Time)
{
    private const long DamageReportMs = 60_000;

    private volatile LogPhase _phase;
    private int _ioScheduled;
    private long _damageReportedMs = -DamageReportMs;

    public LogShared Shared { get; } = shared;

    public string Directory { get; } = directory;

    public Guid TopicId { get; } = topicId;

    public LogPhase Phase
    {
        get => _phase;
        set => _phase = value;
    }

    public override bool IsClosing => Phase != LogPhase.Open;

    public void Fail(Exception error)
    {
        if (!TryFail(error))
            return;

        Shared.Unsynced.Add(Directory);
        Report(LogEventKind.Failed, Directory, $"The log in {Directory} failed and is closed: {error.Message}", error);
        failed?.Invoke();
    }

    /// <summary>The last damage that a reader came upon, and where; null without.</summary>
    public SegmentDamage? Damage
    {
        get => Volatile.Read(ref field);
        private set => Volatile.Write(ref field, value);
    }

    /// <summary>Tells of damage that a reader came upon, at most once a minute: a consumer asks again and again.</summary>
    public void ReportDamage(Segment? segment, LogException damage)
    {
        if (segment is not null)
            Damage = new SegmentDamage(segment, damage);

        long last = Interlocked.Read(ref _damageReportedMs);
        if (Shared.NowMs - last >= DamageReportMs && Interlocked.CompareExchange(ref _damageReportedMs, Shared.NowMs, last) == last)
            Report(LogEventKind.Damaged, Directory, damage.Message);
    }

    public void Report(LogEventKind kind, string file, string message, Exception? error = null) =>
        Shared.Report(kind, Partition, file, message, error: error);

    public void Queue(LogLane lane, ILogWork work) => Shared.Scheduler.Queue(lane, affinity, work);

    /// <summary>Asks for a turn on the I/O thread, unless one is asked for already.</summary>
    public void ScheduleIo()
    {
        if (Interlocked.Exchange(ref _ioScheduled, 1) == 0)
            Queue(LogLane.Write, io);
    }

    /// <summary>A turn on the I/O thread begins; what is queued from here on asks for another one.</summary>
    public void BeginIo() => Interlocked.Exchange(ref _ioScheduled, 0);

    /// <summary>Runs a function beside appends, on a lane that reads files.</summary>
    /// <exception cref="FileRetiredException">Retention, compaction or truncation took away a file in use.</exception>
    /// <exception cref="LogException">A file cannot be read.</exception>
    public Task<T> RunAsync<T>(LogLane lane, Func<T> action)
    {
        var task = new LogTask<T>(action, error => error is FileRetiredException ? error : ReadError(error));
        Queue(lane, task);
        return task.Task;
    }

    /// <summary>Reads on a read thread; again when a segment was deleted or compacted since it was located.</summary>
    /// <exception cref="LogException">A file cannot be read.</exception>
    public Task<T> ReadAsync<T>(Func<T> read)
    {
        return RunAsync(LogLane.Read, Retry);

        T Retry()
        {
            const int Attempts = 16;
            for (int attempt = 1; ; attempt++)
            {
                try
                {
                    return read();
                }
                catch (FileRetiredException error)
                {
                    if (attempt == Attempts || Phase != LogPhase.Open)
                        throw ReadError(error);
                }
            }
        }
    }

    private LogException ReadError(Exception error) =>
        error as LogException ?? new LogException($"{Directory} cannot be read: {error.Message}", error);
}
