namespace Arus.Client;

/// <summary>
/// The batches of one partition that are not acknowledged. Records are added to the open batch, full batches wait in a queue, and one
/// call at a time sends what the queue holds. The loop that sends runs only while there is something to send. Thread-safe.
/// </summary>
internal sealed class PartitionAccumulator(ProducerCore core, TopicAccumulator topic, TopicPartition partition) : IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private readonly PartitionSender _sender = new(core, partition);
    private readonly AsyncSignal _wake = new(core.Time);
    private readonly Queue<ProducerBatch> _ready = new();
    private readonly List<ProducerBatch> _sending = [];
    private ProducerBatch? _open;
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
            _wake.Set();
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
        return new ProducerBatch(
            core.RentBuilder(), new DeliveryOutcome(Partition), core.Time.GetTimestamp(), core.Transactions is not null);
    }

    private void Close()
    {
        _ready.Enqueue(_open!);
        _open = null;
        _wake.Set();
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
            while (LingerLeft() is { TotalMilliseconds: >= 1 } left)
            {
                using ITimer timer = core.Time.CreateTimer(
                    static wake => ((AsyncSignal)wake!).Set(), _wake, left, Timeout.InfiniteTimeSpan);
                await _wake.WaitAsync().ConfigureAwait(false);
            }

            if (!TakeNext())
                return;

            // Does not throw: every batch succeeds or fails by its own outcome.
            await _sender.SendAsync(_sending).ConfigureAwait(false);
            lock (_gate)
                _sending.Clear();
        }
    }

    /// <summary>How long to wait for a full batch, or until the open one is old enough; zero once a flush was requested.</summary>
    private TimeSpan LingerLeft()
    {
        lock (_gate)
        {
            return _ready.Count > 0 || _open is null || _isFlushing || core.Budget.HasWaiters
                ? TimeSpan.Zero
                : core.Options.Linger - core.Time.GetElapsedTime(_open.CreatedAt);
        }
    }

    private bool TakeNext()
    {
        lock (_gate)
        {
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
