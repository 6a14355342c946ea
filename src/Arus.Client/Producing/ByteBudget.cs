namespace Arus.Client;

/// <summary>
/// So many bytes to share. Who finds too few left waits in line; nobody overtakes, so that a large record is not starved by small
/// ones. Thread-safe.
/// </summary>
internal sealed class ByteBudget(long total, TimeProvider time)
{
    private readonly Lock gate = new();
    private readonly LinkedList<Waiter> line = [];
    private long left = total;
    private int waiting;

    public long Total { get; } = total;

    public bool HasWaiters => Volatile.Read(ref waiting) > 0;

    /// <summary>Without a lock, since it is asked for every record.</summary>
    public bool TryTake(long bytes) => !HasWaiters && TryTakeFromLeft(bytes);

    /// <exception cref="TimeoutException">There were too few bytes for all of <paramref name="timeout"/>.</exception>
    public async Task TakeAsync(long bytes, TimeSpan timeout, CancellationToken cancellationToken)
    {
        LinkedListNode<Waiter> node;
        lock (gate)
        {
            // In line before it looks: whoever releases bytes looks for a line after it has added them, so one of the two sees the other.
            node = line.AddLast(new Waiter(bytes));
            Interlocked.Increment(ref waiting);
            Grant();
        }

        try
        {
            await node.Value.Granted.Task.WaitAsync(timeout, time, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            GiveUp(node);
            throw;
        }
    }

    public void Release(long bytes)
    {
        Interlocked.Add(ref left, bytes);
        if (HasWaiters)
        {
            lock (gate)
            {
                Grant();
            }
        }
    }

    private bool TryTakeFromLeft(long bytes)
    {
        long seen = Volatile.Read(ref left);
        while (bytes <= seen)
        {
            long before = Interlocked.CompareExchange(ref left, seen - bytes, seen);
            if (before == seen)
            {
                return true;
            }

            seen = before;
        }

        return false;
    }

    private void GiveUp(LinkedListNode<Waiter> node)
    {
        lock (gate)
        {
            if (node.List is null)
            {
                // Granted in the same moment: give it back.
                Interlocked.Add(ref left, node.Value.Bytes);
            }
            else
            {
                line.Remove(node);
                Interlocked.Decrement(ref waiting);
            }

            Grant();
        }
    }

    private void Grant()
    {
        while (line.First is { } first && TryTakeFromLeft(first.Value.Bytes))
        {
            line.RemoveFirst();
            Interlocked.Decrement(ref waiting);
            first.Value.Granted.SetResult();
        }
    }

    private sealed class Waiter(long bytes)
    {
        public long Bytes { get; } = bytes;

        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
