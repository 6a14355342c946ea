namespace Arus.Client;

/// <summary>What a processor has under way of one partition. Thread-safe.</summary>
/// <remarks>
/// A fetcher calls in here while it hands out records, under its lock; so nothing here calls a fetcher under this one. Nor does anything
/// here take a second lock of this kind under one.
/// </remarks>
internal sealed class PartitionWork
{
    private readonly Lock gate = new();
    private readonly PartitionFetcher fetcher;
    private readonly PartitionWork? before;
    private readonly OffsetTracker tracker;
    private readonly long start;
    private readonly int rewinds;
    private PartitionWork? next;
    private TaskCompletionSource? idle;
    private int running;
    private bool isClosed;

    /// <param name="before">
    /// What was under way when the log went back: it runs on. Its records before the offset that the log went back to are still of this
    /// log, so nothing behind them is processed until they are; the others count no more.
    /// </param>
    public PartitionWork(PartitionFetcher fetcher, int id, PartitionWork? before = null)
    {
        this.fetcher = fetcher;
        this.before = before;
        Id = id;
        tracker = new OffsetTracker(Math.Max(0, fetcher.Processed));
        start = fetcher.Position;
        rewinds = fetcher.Rewinds;
        before?.Follow(this);
    }

    /// <summary>Tells partitions apart in lane keys.</summary>
    public int Id { get; }

    /// <summary>False once the log went back: the offsets that come now need work of their own.</summary>
    public bool IsCurrent => rewinds == fetcher.Rewinds;

    /// <summary>Nothing is under way, of what was before either.</summary>
    public bool IsFinished
    {
        get
        {
            lock (gate)
            {
                if (running > 0 || tracker.Unfinished is not null)
                {
                    return false;
                }
            }

            return before is null or { IsFinished: true };
        }
    }

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
        PartitionWork? later;
        lock (gate)
        {
            tracker.ReadTo(position);
            (low, later) = (tracker.Low, next);
        }

        Advance(low, later);
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
            PartitionWork? later;
            lock (gate)
            {
                tracker.Complete(finished);
                (low, later) = (tracker.Low, next);
            }

            Advance(low, later);
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

    private void Follow(PartitionWork work)
    {
        lock (gate)
        {
            next = work;
        }
    }

    /// <summary>Tells the fetcher what is processed: the latest work does, since only its offsets count.</summary>
    private void Advance(long low, PartitionWork? later)
    {
        if (later is null)
        {
            fetcher.AdvanceProcessed(Math.Min(low, before?.UnfinishedBelow(start) ?? long.MaxValue), rewinds);
        }
        else
        {
            later.Advance();
        }
    }

    private void Advance()
    {
        long low;
        PartitionWork? later;
        lock (gate)
        {
            (low, later) = (tracker.Low, next);
        }

        Advance(low, later);
    }

    /// <summary>The first offset before <paramref name="limit"/> that is under way; null when none is.</summary>
    private long? UnfinishedBelow(long limit)
    {
        long first;
        lock (gate)
        {
            first = tracker.Unfinished ?? long.MaxValue;
        }

        first = Math.Min(first, before?.UnfinishedBelow(start) ?? long.MaxValue);
        return first < limit ? first : null;
    }

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
