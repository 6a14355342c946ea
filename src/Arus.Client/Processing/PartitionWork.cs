namespace Arus.Client;

/// <summary>What a processor has under way of one partition. Thread-safe.</summary>
/// <remarks>A fetcher calls in here while it hands out records, under its lock; so nothing here calls a fetcher under this one.</remarks>
/// <param name="before">What was under way when the log went back: it runs on, and counts no more.</param>
internal sealed class PartitionWork(PartitionFetcher fetcher, int id, PartitionWork? before = null)
{
    private readonly Lock gate = new();
    private readonly OffsetTracker tracker = new(Math.Max(0, fetcher.Processed));
    private readonly int rewinds = fetcher.Rewinds;
    private TaskCompletionSource? idle;
    private int running;
    private bool isClosed;

    /// <summary>Tells partitions apart in lane keys.</summary>
    public int Id { get; } = id;

    /// <summary>False once the log went back: the offsets that come now need work of their own.</summary>
    public bool IsCurrent => rewinds == fetcher.Rewinds;

    public long Add(long offset)
    {
        lock (gate)
        {
            return tracker.Add(offset);
        }
    }

    public void ReadTo(long position)
    {
        long low;
        lock (gate)
        {
            tracker.ReadTo(position);
            low = tracker.Low;
        }

        fetcher.AdvanceProcessed(low, rewinds);
    }

    /// <summary>False when the partition is being given up: the record is then another's to process.</summary>
    public bool TryBegin()
    {
        lock (gate)
        {
            running += isClosed ? 0 : 1;
            return !isClosed;
        }
    }

    /// <summary>A handler has ended.</summary>
    /// <param name="sequence">Of a record that is finished; null for one that is not.</param>
    public void End(long? sequence)
    {
        if (sequence is { } finished)
        {
            long low;
            lock (gate)
            {
                tracker.Complete(finished);
                low = tracker.Low;
            }

            fetcher.AdvanceProcessed(low, rewinds);
        }

        lock (gate)
        {
            running--;
            if (running == 0)
            {
                idle?.TrySetResult();
            }
        }
    }

    /// <summary>Lets no more handlers begin, and answers when none runs.</summary>
    public Task CloseAsync() => before is null ? CloseOwnAsync() : Task.WhenAll(CloseOwnAsync(), before.CloseAsync());

    private Task CloseOwnAsync()
    {
        lock (gate)
        {
            isClosed = true;
            if (running == 0)
            {
                return Task.CompletedTask;
            }

            idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return idle.Task;
        }
    }
}
