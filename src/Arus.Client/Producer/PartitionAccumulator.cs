namespace Arus.Client;

/// <summary>
/// The batches of one partition that are not acknowledged. Records are added to the open batch, full batches wait in a queue, and one
/// call at a time sends what the queue holds. The loop that sends runs only while there is something to send. Thread-safe.
/// </summary>
internal sealed class PartitionAccumulator(ProducerCore core, TopicAccumulator topic, TopicPartition partition) : IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private readonly PartitionSender _sender = new(core, partition);
    private readonly Queue<ProducerBatch> _ready = new();
    private readonly List<ProducerBatch> _sending = [];
    private ProducerBatch? _open;
    private TaskCompletionSource? _lingering;
    private bool _isRunning;
    private bool _isFlushing;

    public TopicPartition Partition { get; } = partition;

    public PendingDelivery Append(
        long timestampMs, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, bool isValueNull,
        ReadOnlySpan<RecordHeader> headers, long reservedBytes)
    {
        lock (_gate)
        {
            if (_open is not null && _open.Builder.SizeInBytes + reservedBytes > core.Options.BatchSize)
                Close();

            ProducerBatch batch = _open ??= Begin();
            batch.Builder.Append(timestampMs, key, isKeyNull, value, isValueNull, headers);
            batch.ReservedBytes += reservedBytes;
            if (batch.Builder.SizeInBytes >= core.Options.BatchSize)
                Close();

            Start();
            return new PendingDelivery(batch.Outcome, batch.Count - 1, timestampMs);
        }
    }

    /// <summary>Sends what there is without lingering.</summary>
    /// <param name="outcomes">Receives what completes when all of it is answered; null if the caller does not wait.</param>
    public void Flush(List<Task>? outcomes)
    {
        lock (_gate)
        {
            if (!_isRunning)
                return;

            _isFlushing = true;
            _lingering?.TrySetResult();
            outcomes?.AddRange(_sending.Select(b => b.Outcome.Completion));
            outcomes?.AddRange(_ready.Select(b => b.Outcome.Completion));
            if (_open is not null)
                outcomes?.Add(_open.Outcome.Completion);
        }
    }

    void IThreadPoolWorkItem.Execute() => _ = RunAsync();

    /// <summary>Checks the age of the topic's metadata here, once for each batch, to spare each record the check.</summary>
    private ProducerBatch Begin()
    {
        topic.Refresh();
        return new ProducerBatch(core.RentBuilder(), new DeliveryOutcome(Partition), core.Time.GetTimestamp());
    }

    private void Close()
    {
        _ready.Enqueue(_open!);
        _open = null;
        _lingering?.TrySetResult();
    }

    private void Start()
    {
        if (!_isRunning)
        {
            _isRunning = true;
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private async Task RunAsync()
    {
        while (true)
        {
            await LingerAsync().ConfigureAwait(false);
            if (!TakeNext())
                return;

            // Does not throw: every batch succeeds or fails by its own outcome.
            await _sender.SendAsync(_sending).ConfigureAwait(false);
            lock (_gate)
                _sending.Clear();
        }
    }

    /// <summary>Waits until a batch is full, the open one is old enough, or a flush is asked for.</summary>
    private async ValueTask LingerAsync()
    {
        TaskCompletionSource wake;
        TimeSpan wait;
        lock (_gate)
        {
            if (_ready.Count > 0 || _open is null || _isFlushing || core.Budget.HasWaiters)
                return;

            wait = core.Options.Linger - core.Time.GetElapsedTime(_open.CreatedAt);
            if (wait <= TimeSpan.Zero)
                return;

            _lingering = wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        ITimer timer = core.Time.CreateTimer(
            static state => ((TaskCompletionSource)state!).TrySetResult(), wake, wait, Timeout.InfiniteTimeSpan);
        await using (timer.ConfigureAwait(false))
        {
            await wake.Task.ConfigureAwait(false);
        }
    }

    private bool TakeNext()
    {
        lock (_gate)
        {
            _lingering = null;
            if (_open is not null && (_ready.Count == 0 || _isFlushing))
                Close();

            int size = 0;
            int most = core.Options.IsIdempotent ? PartitionSequence.MaxBatches : int.MaxValue;
            while (_sending.Count < most && _ready.TryPeek(out ProducerBatch? next)
                && (_sending.Count == 0 || size + next.Builder.SizeInBytes <= core.Options.MaxRequestSize))
            {
                _sending.Add(_ready.Dequeue());
                size += next.Builder.SizeInBytes;
            }

            _isFlushing &= _ready.Count > 0;
            _isRunning = _sending.Count > 0;
            return _isRunning;
        }
    }
}
