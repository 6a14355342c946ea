namespace Arus.Client;

/// <summary>
/// The records on their way to one partition. One batch is open and filled; full ones wait; one call is under way, and what gathers
/// meanwhile goes with the next. The sending runs only while there is something to send. Thread-safe.
/// </summary>
internal sealed class PartitionAccumulator : IThreadPoolWorkItem
{
    private readonly Lock gate = new();
    private readonly ProducerCore core;
    private readonly TopicAccumulator topic;
    private readonly PartitionSender sender;
    private readonly Queue<ProducerBatch> ready = new();
    private readonly List<ProducerBatch> sending = [];
    private ProducerBatch? open;
    private TaskCompletionSource? lingering;
    private bool isRunning;
    private bool isHurried;

    public PartitionAccumulator(ProducerCore core, TopicAccumulator topic, TopicPartition partition)
    {
        this.core = core;
        this.topic = topic;
        Partition = partition;
        sender = new PartitionSender(core, partition);
    }

    public TopicPartition Partition { get; }

    public PendingDelivery Append(
        long timestampMs, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, bool isValueNull,
        ReadOnlySpan<RecordHeader> headers, long reservedBytes)
    {
        lock (gate)
        {
            if (open is not null && open.Builder.SizeInBytes + reservedBytes > core.Options.BatchSize)
            {
                Close();
            }

            ProducerBatch batch = open ??= Begin();
            batch.Builder.Append(timestampMs, key, isKeyNull, value, isValueNull, headers);
            batch.ReservedBytes += reservedBytes;
            if (batch.Builder.SizeInBytes >= core.Options.BatchSize)
            {
                Close();
            }

            Start();
            return new PendingDelivery(batch.Outcome, batch.Count - 1, timestampMs);
        }
    }

    /// <summary>Sends what there is without lingering.</summary>
    /// <param name="outcomes">Receives what completes when all of it is answered; null when nobody waits.</param>
    public void Hurry(List<Task>? outcomes)
    {
        lock (gate)
        {
            if (!isRunning)
            {
                return;
            }

            isHurried = true;
            lingering?.TrySetResult();
            outcomes?.AddRange(sending.Select(b => b.Outcome.Completion));
            outcomes?.AddRange(ready.Select(b => b.Outcome.Completion));
            if (open is not null)
            {
                outcomes?.Add(open.Outcome.Completion);
            }
        }
    }

    void IThreadPoolWorkItem.Execute() => _ = RunAsync();

    /// <summary>What is looked at for a batch, so that records need not.</summary>
    private ProducerBatch Begin()
    {
        topic.Refresh();
        return new ProducerBatch(core.RentBuilder(), new DeliveryOutcome(Partition), core.Time.GetTimestamp());
    }

    private void Close()
    {
        ready.Enqueue(open!);
        open = null;
        lingering?.TrySetResult();
    }

    private void Start()
    {
        if (!isRunning)
        {
            isRunning = true;
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private async Task RunAsync()
    {
        while (true)
        {
            await LingerAsync().ConfigureAwait(false);
            if (!TakeNext())
            {
                return;
            }

            // Never throws: it answers every batch, one way or the other.
            await sender.SendAsync(sending).ConfigureAwait(false);
            lock (gate)
            {
                sending.Clear();
            }
        }
    }

    /// <summary>Waits until a batch is full, the open one is old enough, or somebody hurries.</summary>
    private async ValueTask LingerAsync()
    {
        TaskCompletionSource wake;
        TimeSpan wait;
        lock (gate)
        {
            if (ready.Count > 0 || open is null || isHurried || core.Budget.HasWaiters)
            {
                return;
            }

            wait = core.Options.Linger - core.Time.GetElapsedTime(open.CreatedAt);
            if (wait <= TimeSpan.Zero)
            {
                return;
            }

            lingering = wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
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
        lock (gate)
        {
            lingering = null;
            if (open is not null && (ready.Count == 0 || isHurried))
            {
                Close();
            }

            int size = 0;
            int most = core.Options.IsIdempotent ? PartitionSender.MaxIdempotentBatches : int.MaxValue;
            while (sending.Count < most && ready.TryPeek(out ProducerBatch? next)
                && (sending.Count == 0 || size + next.Builder.SizeInBytes <= core.Options.MaxRequestSize))
            {
                sending.Add(ready.Dequeue());
                size += next.Builder.SizeInBytes;
            }

            isHurried &= ready.Count > 0;
            isRunning = sending.Count > 0;
            return isRunning;
        }
    }
}
