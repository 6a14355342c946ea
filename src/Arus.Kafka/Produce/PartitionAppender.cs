using System.Diagnostics;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>A part of a produce request, by its indexes in the request.</summary>
internal readonly record struct AppendPart(int Topic, int Partition);

/// <summary>One entry that waits for its append.</summary>
/// <param name="Owner">Receives the result, as that of its part <paramref name="Part"/>.</param>
/// <param name="Transaction">Of a producer with a transactional id.</param>
internal readonly record struct QueuedAppend(
    IAppendOwner Owner, AppendPart Part, ReadOnlyMemory<byte> Batches, short RequiredAcks, int TimeoutMs, Guid TopicId,
    AppendTransaction? Transaction = null);

/// <summary>Receives the results of a request's appends. The appender calls it exactly once for each part, from any thread.</summary>
internal interface IAppendOwner
{
    /// <param name="memoryInUse">The call did not end properly: the grain may still read the entry's memory.</param>
    void Complete(AppendPart part, AppendEntryResult result, long logStartOffset, bool memoryInUse);
}

/// <summary>
/// Sends this silo's appends to one partition, those of one transactional id or those without, in the order in which they were queued; what
/// is queued in the meantime goes as the entries of the next call. Orleans does not keep the order of calls, so it is kept here: of the
/// grain one call is in flight. A leader of this broker takes appends in their order, so that further ones go on while earlier ones wait
/// for the replicas. Safe for use by any thread.
/// </summary>
/// <param name="leaders">What this broker leads; null where partitions are not replicated.</param>
/// <param name="onFault">Called for calls that failed, and for results that say that the partition moved or is gone.</param>
internal sealed class PartitionAppender(
    TopicPartition partition, IPartitionGrain grain, ILocalLeaders? leaders, long maxQueuedBytes, TimeProvider time,
    Action<PartitionAppender, ErrorCode, Exception?> onFault)
{
    /// <summary>
    /// Calls that a leader of this broker is given before it has answered the first. It is also what an idempotent producer has in flight
    /// at most; of others, what comes meanwhile gathers in larger calls.
    /// </summary>
    internal const int MaxCallsInFlight = 5;

    /// <summary>Entries of one call; enough to share a group commit, few enough to answer early ones soon.</summary>
    internal const int MaxEntriesPerCall = 256;

    /// <summary>Bytes of one call, unless its first entry alone is larger.</summary>
    internal const int MaxBytesPerCall = 8 * 1024 * 1024;

    /// <summary>Bytes that are checked and copied on the thread that brings them; for more another one is woken.</summary>
    private const int MaxInlineBytes = 16 * 1024;

    /// <summary>How much longer than its timeout an append may take, as on a disk that hangs. Orleans limits calls of the grain.</summary>
    private static readonly TimeSpan LateBy = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly Queue<QueuedAppend> _queue = new();
    private readonly Queue<(QueuedAppend Append, TaskCompletionSource Queued)> _waiting = new();
    private long _queuedBytes;
    private bool _sending;
    private int _inFlight;
    private TaskCompletionSource? _answered;

    public TopicPartition Partition { get; } = partition;

    /// <summary>When it was last used, in ticks of the scheduler's clock; kept for the scheduler.</summary>
    public long LastUsed { get; set; }

    /// <summary>Whether nothing is queued, waiting or in flight.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
                return !_sending && _inFlight == 0;
        }
    }

    /// <summary>
    /// Queues an append. The task ends when it has its place in the queue, which is at once unless the queue is full; the result goes to
    /// the owner.
    /// </summary>
    public ValueTask EnqueueAsync(in QueuedAppend append)
    {
        lock (_lock)
        {
            if (_waiting.Count > 0 || !Fits(append))
            {
                var queued = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Enqueue((append, queued));
                return new ValueTask(queued.Task);
            }

            Add(append);
            if (_sending)
                return ValueTask.CompletedTask;

            _sending = true;
        }

        _ = SendAsync();
        return ValueTask.CompletedTask;
    }

    private bool Fits(in QueuedAppend append) => _queuedBytes == 0 || _queuedBytes + append.Batches.Length <= maxQueuedBytes;

    private void Add(in QueuedAppend append)
    {
        _queue.Enqueue(append);
        _queuedBytes += append.Batches.Length;
    }

    private async Task SendAsync()
    {
        int most = leaders is null ? 0 : MaxCallsInFlight - 1;
        while (true)
        {
            await WaitForCallsAsync(most).ConfigureAwait(false);
            if (Take() is not { } batch)
                return;

            (PartitionAppend request, long bytes) = RequestOf(batch);
            if (leaders is not null && bytes > MaxInlineBytes)
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);

            if (leaders?.TryAppend(Partition, request) is { } call)
            {
                most = MaxCallsInFlight - 1;
                Begin(batch, call.WaitAsync(TimeSpan.FromMilliseconds(Math.Max(0, request.TimeoutMs)) + LateBy, time));
            }
            else
            {
                // The leader may have become another one: what was given to the one here is answered first.
                most = 0;
                await WaitForCallsAsync(0).ConfigureAwait(false);
                Begin(batch, CallAsync(request));
            }
        }
    }

    private async Task<PartitionAppendResult> CallAsync(PartitionAppend request) => await grain.AppendAsync(request).ConfigureAwait(false);

    private void Begin(List<QueuedAppend> batch, Task<PartitionAppendResult> call)
    {
        lock (_lock)
            _inFlight++;

        _ = FinishAsync(batch, call);
    }

    /// <summary>Waits until no more than so many calls are in flight.</summary>
    private async ValueTask WaitForCallsAsync(int most)
    {
        while (true)
        {
            Task answered;
            lock (_lock)
            {
                if (_inFlight <= most)
                    return;

                _answered ??= new TaskCompletionSource();
                answered = _answered.Task;
            }

            await answered.ConfigureAwait(false);
        }
    }

    /// <summary>Waits for a call and gives its results to their owners.</summary>
    private async Task FinishAsync(List<QueuedAppend> batch, Task<PartitionAppendResult> call)
    {
        await ((Task)call).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        // Sending goes on at once, here, and the results are given out after it: the partition does not wait for the sockets.
        TaskCompletionSource? answered;
        lock (_lock)
        {
            _inFlight--;
            (answered, _answered) = (_answered, null);
        }

        answered?.SetResult();
        Exception? failure = !call.IsCompletedSuccessfully ? call.Exception?.InnerException ?? new TaskCanceledException(call)
            : call.Result.Results.Length == batch.Count ? null
            : new InvalidOperationException($"The partition answered {call.Result.Results.Length} results to {batch.Count} appends.");
        if (failure is null)
            Distribute(batch, call.Result);
        else
            Fail(batch, failure);
    }

    private static (PartitionAppend Request, long Bytes) RequestOf(List<QueuedAppend> batch)
    {
        var entries = new ReadOnlyMemory<byte>[batch.Count];
        (int timeoutMs, long bytes) = (0, 0);
        for (int i = 0; i < batch.Count; i++)
        {
            entries[i] = batch[i].Batches;
            bytes += entries[i].Length;
            timeoutMs = Math.Max(timeoutMs, batch[i].TimeoutMs);
        }

        return (new PartitionAppend(batch[0].RequiredAcks, timeoutMs, entries, batch[0].TopicId, batch[0].Transaction), bytes);
    }

    /// <summary>
    /// The entries of the next call, all with the same acks, for the same topic and of the same kind of producer; null when there are none,
    /// and then sending has ended.
    /// </summary>
    private List<QueuedAppend>? Take()
    {
        lock (_lock)
        {
            Debug.Assert(_sending && (_queue.Count > 0 || _waiting.Count == 0), "An empty queue has room for the first that waits.");
            if (_queue.Count == 0)
            {
                Debug.Assert(_queuedBytes == 0, "An empty queue holds no bytes.");
                _sending = false;
                return null;
            }

            var batch = new List<QueuedAppend>(Math.Min(_queue.Count, MaxEntriesPerCall));
            long bytes = 0;
            while (batch.Count < MaxEntriesPerCall && _queue.TryPeek(out QueuedAppend next) && (batch.Count == 0
                || (next.RequiredAcks == batch[0].RequiredAcks && next.TopicId == batch[0].TopicId
                    && next.Transaction == batch[0].Transaction && bytes + next.Batches.Length <= MaxBytesPerCall)))
            {
                batch.Add(_queue.Dequeue());
                bytes += next.Batches.Length;
            }

            _queuedBytes -= bytes;
            while (_waiting.TryPeek(out (QueuedAppend Append, TaskCompletionSource Queued) waiting) && Fits(waiting.Append))
            {
                _waiting.Dequeue();
                Add(waiting.Append);
                waiting.Queued.SetResult();
            }

            return batch;
        }
    }

    private void Distribute(List<QueuedAppend> batch, PartitionAppendResult response)
    {
        for (int i = 0; i < batch.Count; i++)
        {
            AppendEntryResult result = response.Results[i];
            if (GrainFailure.IsRoutingError(result.Error))
                onFault(this, result.Error, null);

            batch[i].Owner.Complete(batch[i].Part, result, response.LogStartOffset, memoryInUse: false);
        }
    }

    private void Fail(List<QueuedAppend> batch, Exception failure)
    {
        ErrorCode error = GrainFailure.ToErrorCode(failure, ApiScope.Partition);
        onFault(this, error, failure);
        var result = new AppendEntryResult(error, -1, -1, failure.Message);
        foreach (QueuedAppend append in batch)
            append.Owner.Complete(append.Part, result, -1, memoryInUse: true);
    }
}
