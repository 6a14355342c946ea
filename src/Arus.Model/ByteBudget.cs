namespace Arus;

/// <summary>
/// A FIFO semaphore that counts bytes: waiters are granted in the order of their arrival, so that small requests do not starve a
/// large one. A request for more than the whole budget is granted alone, when nothing else is taken. Thread-safe, and without a
/// lock while nobody waits.
/// </summary>
/// <param name="total">How many bytes may be taken at once.</param>
/// <param name="time">What measures the timeouts of waiters.</param>
public sealed class ByteBudget(long total, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(long Bytes, TaskCompletionSource Granted)> _waiters = [];
    private long _free = total;
    private int _waiterCount;

    public long Total { get; } = total;

    /// <summary>Bytes that are taken now; above <see cref="Total"/> while a request larger than it was granted.</summary>
    public long Used => Total - Volatile.Read(ref _free);

    public bool HasWaiters => Volatile.Read(ref _waiterCount) > 0;

    /// <summary>Takes bytes if they are free and nobody waits.</summary>
    public bool TryTake(long bytes) => !HasWaiters && TryTakeFree(bytes);

    /// <summary>Takes bytes as soon as they are free and every earlier waiter has been granted.</summary>
    /// <returns>A task that completes when the bytes are taken; they are not taken if it fails.</returns>
    /// <exception cref="TimeoutException">The bytes were not free within <paramref name="timeout"/>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled first.</exception>
    public Task TakeAsync(long bytes, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        TryTake(bytes) ? Task.CompletedTask : WaitAsync(bytes, timeout ?? Timeout.InfiniteTimeSpan, cancellationToken);

    /// <summary>Returns bytes that were taken.</summary>
    public void Release(long bytes)
    {
        Interlocked.Add(ref _free, bytes);
        if (HasWaiters)
        {
            lock (_lock)
                Grant();
        }
    }

    private async Task WaitAsync(long bytes, TimeSpan timeout, CancellationToken cancellationToken)
    {
        LinkedListNode<(long Bytes, TaskCompletionSource Granted)> node;
        lock (_lock)
        {
            // The waiter counts before it looks at the free bytes, and Release adds bytes before it looks for waiters: one sees the other.
            node = _waiters.AddLast((bytes, new(TaskCreationOptions.RunContinuationsAsynchronously)));
            Interlocked.Increment(ref _waiterCount);
            Grant();
        }

        try
        {
            await node.Value.Granted.Task.WaitAsync(timeout, time, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            Abandon(node);
            throw;
        }
    }

    private bool TryTakeFree(long bytes)
    {
        long seen = Volatile.Read(ref _free);
        while (bytes <= seen || seen == Total)
        {
            long before = Interlocked.CompareExchange(ref _free, seen - bytes, seen);
            if (before == seen)
                return true;

            seen = before;
        }

        return false;
    }

    private void Abandon(LinkedListNode<(long Bytes, TaskCompletionSource Granted)> node)
    {
        lock (_lock)
        {
            if (node.List is null)
            {
                // It was granted in the same moment.
                Interlocked.Add(ref _free, node.Value.Bytes);
            }
            else
            {
                _waiters.Remove(node);
                Interlocked.Decrement(ref _waiterCount);
            }

            Grant();
        }
    }

    private void Grant()
    {
        while (_waiters.First is { } first && TryTakeFree(first.Value.Bytes))
        {
            _waiters.RemoveFirst();
            Interlocked.Decrement(ref _waiterCount);
            first.Value.Granted.SetResult();
        }
    }
}
