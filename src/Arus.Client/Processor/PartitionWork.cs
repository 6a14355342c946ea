namespace Arus.Client;

/// <summary>What a processor has under way of one partition. Thread-safe.</summary>
/// <remarks>
/// A fetcher calls in here while it hands out records, under its lock; so nothing here calls a fetcher under this one. Nor does anything
/// here take a second lock of this kind under one.
/// </remarks>
internal sealed class PartitionWork
{
    private readonly Lock _gate = new();
    private readonly PartitionFetcher _fetcher;
    private readonly PartitionWork? _before;
    private readonly OffsetTracker _tracker;
    private readonly long _start;
    private readonly int _rewinds;
    private PartitionWork? _next;
    private TaskCompletionSource? _idle;
    private int _running;
    private bool _isClosed;

    /// <param name="before">
    /// What was under way when the log went back: it runs on. Its records before the offset that the log went back to are still of this
    /// log, so nothing behind them is processed until they are; the others count no more.
    /// </param>
    public PartitionWork(PartitionFetcher fetcher, int id, PartitionWork? before = null)
    {
        _fetcher = fetcher;
        _before = before;
        Id = id;
        _tracker = new OffsetTracker(Math.Max(0, fetcher.Processed));
        _start = fetcher.Position;
        _rewinds = fetcher.Rewinds;
        before?.Follow(this);
    }

    /// <summary>Tells partitions apart in lane keys.</summary>
    public int Id { get; }

    /// <summary>False once the log went back: the offsets that come now need work of their own.</summary>
    public bool IsCurrent => _rewinds == _fetcher.Rewinds;

    /// <summary>Nothing is under way, of what was before either.</summary>
    public bool IsFinished
    {
        get
        {
            lock (_gate)
            {
                if (_running > 0 || _tracker.Unfinished is not null)
                    return false;
            }

            return _before is null or { IsFinished: true };
        }
    }

    public long Add(long offset)
    {
        lock (_gate)
            return _tracker.Add(offset);
    }

    public void ReadTo(long position)
    {
        lock (_gate)
            _tracker.ReadTo(position);

        Advance();
    }

    /// <summary>False when the partition is being given up: the record is then another's to process.</summary>
    public bool TryBegin()
    {
        lock (_gate)
        {
            _running += _isClosed ? 0 : 1;
            return !_isClosed;
        }
    }

    /// <summary>A handler has ended.</summary>
    /// <param name="sequence">Of a record that is finished; null for one that is not.</param>
    public void End(long? sequence)
    {
        if (sequence is { } finished)
        {
            lock (_gate)
                _tracker.Complete(finished);

            Advance();
        }

        lock (_gate)
        {
            _running--;
            if (_running == 0)
                _idle?.TrySetResult();
        }
    }

    /// <summary>Lets no more handlers begin, and answers when none runs.</summary>
    public Task CloseAsync() => _before is null ? CloseOwnAsync() : Task.WhenAll(CloseOwnAsync(), _before.CloseAsync());

    private void Follow(PartitionWork work)
    {
        lock (_gate)
            _next = work;
    }

    /// <summary>Tells the fetcher what is processed: the latest work does, since only its offsets count.</summary>
    private void Advance()
    {
        long low;
        PartitionWork? later;
        lock (_gate)
            (low, later) = (_tracker.Low, _next);

        if (later is null)
            _fetcher.AdvanceProcessed(Math.Min(low, _before?.UnfinishedBelow(_start) ?? long.MaxValue), _rewinds);
        else
            later.Advance();
    }

    /// <summary>The first offset before <paramref name="limit"/> that is under way; null when none is.</summary>
    private long? UnfinishedBelow(long limit)
    {
        long first;
        lock (_gate)
            first = _tracker.Unfinished ?? long.MaxValue;

        first = Math.Min(first, _before?.UnfinishedBelow(_start) ?? long.MaxValue);
        return first < limit ? first : null;
    }

    private Task CloseOwnAsync()
    {
        lock (_gate)
        {
            _isClosed = true;
            if (_running == 0)
                return Task.CompletedTask;

            _idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _idle.Task;
        }
    }
}
