namespace Arus.Kafka;

/// <summary>
/// Answers an expensive question to many callers with one run at a time. Each gets the answer of a run that began after it asked, so that
/// it sees what it did before. Thread-safe.
/// </summary>
/// <param name="run">Does not end with the connection that asked, since others wait for it, too.</param>
internal sealed class SharedRun<T>(Func<Task<T>> run)
{
    private readonly Lock _lock = new();
    private Task<T>? _current;
    private Task<T>? _next;

    /// <exception cref="Exception">What the run threw.</exception>
    public Task<T> AskAsync()
    {
        lock (_lock)
        {
            if (_next is null && _current is null or { IsCompleted: true })
                return _current = Task.Run(run);

            return _next ??= RunAfterAsync(_current!);
        }
    }

    private async Task<T> RunAfterAsync(Task current)
    {
        await current.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Task<T> mine;
        lock (_lock)
        {
            mine = _current = Task.Run(run);
            _next = null;
        }

        return await mine.ConfigureAwait(false);
    }
}
