namespace Arus.Storage;

/// <summary>What every log has: its identity, its configuration, the waits for its records, and whether it is open or has failed.</summary>
internal abstract class LogState(TopicPartition partition, TopicConfig config, TimeProvider time)
{
    private Exception? _failure;
    private int _maintaining;

    public TopicPartition Partition { get; } = partition;

    /// <summary>Those who wait for the high watermark.</summary>
    public OffsetWaiters Waiters { get; } = new(time, static log => log.HighWatermark);

    /// <summary>Those who wait for the last stable offset.</summary>
    public OffsetWaiters StableWaiters { get; } = new(time, static log => log.LastStableOffset);

    public TopicConfig Config
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    } = config;

    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Whether the log takes nothing in any more, because it is closed or about to be.</summary>
    public abstract bool IsClosing { get; }

    /// <summary>The answer to an append when the log takes none in; null while it does.</summary>
    public LogAppendResult? Refusal =>
        Failure is { } failure ? LogAppendResult.Refused(ErrorCode.KafkaStorageError, DescribeFailure(failure))
        : IsClosing ? LogAppendResult.Refused(ErrorCode.NotLeaderOrFollower, $"The log of {Partition} is closed.")
        : null;

    public OffsetWaiters WaitersOf(LogReadLimit upTo) => upTo switch
    {
        LogReadLimit.HighWatermark => Waiters,
        LogReadLimit.LastStable => StableWaiters,
        _ => throw new ArgumentOutOfRangeException(nameof(upTo), upTo, "Nobody waits for the durable end."),
    };

    /// <summary>Releases the waits whose offset can be read now.</summary>
    public void AdvanceWaiters(long highWatermark, long lastStableOffset)
    {
        Waiters.Advance(highWatermark);
        StableWaiters.Advance(lastStableOffset);
    }

    /// <summary>Releases all waits with "no".</summary>
    public void CloseWaiters()
    {
        Waiters.Close();
        StableWaiters.Close();
    }

    public string DescribeFailure(Exception failure) => $"The log of {Partition} failed: {failure.Message}";

    /// <exception cref="LogException">The log has failed, or is closed.</exception>
    public void ThrowIfUnusable(bool isClosed)
    {
        if (isClosed || Failure is not null)
            throw new LogException(Failure is { } failure ? DescribeFailure(failure) : $"The log of {Partition} is closed.", Failure);
    }

    /// <summary>One pass of retention and compaction; nothing when a pass is under way, or when the log is closed during it.</summary>
    public async ValueTask<LogMaintenanceResult> MaintainAsync(
        Func<Task<LogMaintenanceResult>> applyRetention, Func<Task<(int Segments, long BytesFreed)>> compact,
        CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _maintaining, 1) != 0)
            return default;

        try
        {
            LogMaintenanceResult result = await applyRetention().ConfigureAwait(false);
            if (!Config.IsCleaned || cancellationToken.IsCancellationRequested)
                return result;

            (int segments, long bytes) = await compact().ConfigureAwait(false);
            return result with { SegmentsCompacted = result.SegmentsCompacted + segments, BytesFreed = result.BytesFreed + bytes };
        }
        catch (LogException) when (IsClosing)
        {
            return default;
        }
        finally
        {
            Volatile.Write(ref _maintaining, 0);
        }
    }

    /// <summary>Poisons the log: nothing under way is acknowledged any more.</summary>
    /// <returns>Whether this is the first failure.</returns>
    protected bool TryFail(Exception error)
    {
        bool isFirst = Interlocked.CompareExchange(ref _failure, error, null) is null;
        CloseWaiters();
        return isFirst;
    }
}
