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

    public long Total { get; } = total;

    public bool HasWaiters
    {
        get
        {
            lock (gate)
            {
                return line.Count > 0;
            }
        }
    }

    public bool TryTake(long bytes)
    {
        lock (gate)
        {
            if (line.Count > 0 || bytes > left)
            {
                return false;
            }

            left -= bytes;
            return true;
        }
    }

    /// <exception cref="TimeoutException">There were too few bytes for all of <paramref name="timeout"/>.</exception>
    public async Task TakeAsync(long bytes, TimeSpan timeout, CancellationToken cancellationToken)
    {
        LinkedListNode<Waiter> node;
        lock (gate)
        {
            if (line.Count == 0 && bytes <= left)
            {
                left -= bytes;
                return;
            }

            node = line.AddLast(new Waiter(bytes));
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
        lock (gate)
        {
            left += bytes;
            Grant();
        }
    }

    private void GiveUp(LinkedListNode<Waiter> node)
    {
        lock (gate)
        {
            if (node.List is null)
            {
                // Granted in the same moment: give it back.
                left += node.Value.Bytes;
            }
            else
            {
                line.Remove(node);
            }

            Grant();
        }
    }

    private void Grant()
    {
        while (line.First is { } first && first.Value.Bytes <= left)
        {
            left -= first.Value.Bytes;
            line.RemoveFirst();
            first.Value.Granted.SetResult();
        }
    }

    private sealed class Waiter(long bytes)
    {
        public long Bytes { get; } = bytes;

        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
