namespace Arus;

/// <summary>
/// An auto-reset event for asynchronous waiters. A signal without a waiter is kept for the next wait, and one for several waiters wakes
/// them all. Safe for use by any thread.
/// </summary>
/// <param name="time">For waits with a limit; the system's if null.</param>
internal sealed class AsyncSignal(TimeProvider? time = null)
{
    private TaskCompletionSource _next = NewSource();

    public void Set() => Volatile.Read(ref _next).TrySetResult();

    public async ValueTask WaitAsync()
    {
        TaskCompletionSource signal = Volatile.Read(ref _next);
        await signal.Task.ConfigureAwait(false);
        Reset(signal);
    }

    /// <summary>Answers when signalled, when the time is over, or when cancelled: the caller looks for itself what is new.</summary>
    public async Task WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        TaskCompletionSource signal = Volatile.Read(ref _next);
        if (!signal.Task.IsCompleted)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            await Task.WhenAny(signal.Task, Task.Delay(timeout, time ?? TimeProvider.System, limit.Token)).ConfigureAwait(false);
            await limit.CancelAsync().ConfigureAwait(false);
        }

        Reset(signal);
    }

    /// <summary>What is signalled from here on is for the next wait; what was signalled before, the caller finds now.</summary>
    private void Reset(TaskCompletionSource signal)
    {
        if (signal.Task.IsCompleted)
            Interlocked.CompareExchange(ref _next, NewSource(), signal);
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
