namespace Arus.Storage.Rows;

/// <summary>
/// Runs what changes a row log, one after the other: operations in the order in which they were queued, and group commits when no
/// operation waits. So an operation never takes away what was appended after it was asked for. Thread-safe.
/// </summary>
internal sealed class RowOperations(RowLogContext log)
{
    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly Queue<Func<Task>> _queue = new();
    private Func<Task>? _commit;
    private bool _running;

    /// <summary>Whether an operation waits for the one that runs, or for the group commits.</summary>
    public bool AnyWaits
    {
        get
        {
            using (_lock.Enter())
                return _queue.Count > 0;
        }
    }

    /// <summary>Runs an operation, unless the log is closed or has failed by then.</summary>
    /// <exception cref="LogException">The operation failed, or was not run.</exception>
    public async Task<T> RunAsync<T>(Func<Task<T>> operation)
    {
        log.ThrowIfUnusable(log.IsClosing);
        return await RunAnywayAsync(() =>
        {
            // A failure since may have left in memory what the store does not have.
            log.ThrowIfUnusable(isClosed: false);
            return operation();
        }).ConfigureAwait(false);
    }

    /// <summary>Runs an operation, whatever has become of the log.</summary>
    public Task<T> RunAnywayAsync<T>(Func<Task<T>> operation)
    {
        var source = new TaskCompletionSource<T>(
            log.Options.ContinuesInline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
        Start(() => _queue.Enqueue(() => ExecuteAsync(operation, source)));
        return source.Task;
    }

    /// <summary>Runs a group commit, which handles its own errors, once no operation waits.</summary>
    public void RunCommit(Func<Task> commit) => Start(() => _commit = commit);

    private static async Task ExecuteAsync<T>(Func<Task<T>> operation, TaskCompletionSource<T> source)
    {
        try
        {
            source.SetResult(await operation().ConfigureAwait(false));
        }
        catch (Exception error)
        {
            source.SetException(error as LogException ?? new LogException($"The store failed: {error.Message}", error));
        }
    }

    private void Start(Action queue)
    {
        bool starts;
        using (_lock.Enter())
        {
            queue();
            starts = !_running;
            _running = true;
        }

        if (starts)
            _ = PumpAsync();
    }

    private async Task PumpAsync()
    {
        while (Take() is { } operation)
            await operation().ConfigureAwait(false);
    }

    private Func<Task>? Take()
    {
        using (_lock.Enter())
        {
            if (!_queue.TryDequeue(out Func<Task>? next))
                (next, _commit) = (_commit, null);

            _running = next is not null;
            return next;
        }
    }
}
