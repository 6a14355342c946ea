namespace Arus.Client;

/// <summary>Wakes one waiter; a signal without a waiter is kept, once. Thread-safe.</summary>
internal sealed class AsyncSignal(TimeProvider time)
{
    private readonly Lock gate = new();
    private TaskCompletionSource? waiter;
    private bool isSet;

    public void Set()
    {
        lock (gate)
        {
            if (waiter is null)
            {
                isSet = true;
                return;
            }

            waiter.TrySetResult();
            waiter = null;
        }
    }

    /// <summary>Answers when signalled, when <paramref name="timeout"/> is over, or when cancelled: the caller looks for itself what is new.</summary>
    public async Task WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        Task wake;
        lock (gate)
        {
            if (isSet)
            {
                isSet = false;
                return;
            }

            waiter ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            wake = waiter.Task;
        }

        using var delayEnd = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(wake, Task.Delay(timeout, time, delayEnd.Token)).ConfigureAwait(false);
        await delayEnd.CancelAsync().ConfigureAwait(false);
    }
}
