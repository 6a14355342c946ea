namespace Arus;

/// <summary>
/// An auto-reset event for asynchronous waiters. A signal without a waiter is kept for the next wait. Safe for use by any thread.
/// </summary>
/// <param name="time">For waits with a limit; the system's if null.</param>
internal sealed class AsyncSignal(TimeProvider? time = null)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiter;
    private bool _set;

    public void Set()
    {
        lock (_lock)
        {
            _set = _waiter is null;
            _waiter?.SetResult();
            _waiter = null;
        }
    }

    public ValueTask WaitAsync()
    {
        lock (_lock)
        {
            if (_set)
            {
                _set = false;
                return ValueTask.CompletedTask;
            }

            _waiter ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return new ValueTask(_waiter.Task);
        }
    }

    /// <summary>
    /// Answers when signalled, when <paramref name="timeout"/> is over, or when cancelled: the caller looks for itself what is new.
    /// </summary>
    public async Task WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        Task signalled = WaitAsync().AsTask();
        if (signalled.IsCompleted)
            return;

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(signalled, Task.Delay(timeout, time ?? TimeProvider.System, limit.Token)).ConfigureAwait(false);
        await limit.CancelAsync().ConfigureAwait(false);
        Abandon(signalled);
    }

    /// <summary>Otherwise the next signal would go to a wait that is over. Another waiter that shares it wakes once without need.</summary>
    private void Abandon(Task wait)
    {
        lock (_lock)
        {
            if (_waiter?.Task == wait)
            {
                _waiter.SetResult();
                _waiter = null;
            }
        }
    }
}
