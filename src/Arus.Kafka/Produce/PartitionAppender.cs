using System.Diagnostics;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>A part of a produce request, by its indexes in the request.</summary>
internal readonly record struct AppendPart(int Topic, int Partition);

/// <summary>One entry that waits for its append.</summary>
/// <param name="Owner">Receives the result, as that of its part <paramref name="Part"/>.</param>
internal readonly record struct QueuedAppend(
    IAppendOwner Owner, AppendPart Part, ReadOnlyMemory<byte> Batches, short RequiredAcks, int TimeoutMs, Guid TopicId);

/// <summary>Receives the results of a request's appends. The appender calls it exactly once for each part, from any thread.</summary>
internal interface IAppendOwner
{
    /// <param name="memoryInUse">The call did not end properly: the grain may still read the entry's memory.</param>
    void Complete(AppendPart part, AppendEntryResult result, long logStartOffset, bool memoryInUse);
}

/// <summary>
/// Sends this silo's appends to one partition in the order in which they were queued: one call is in flight, and what is queued in the
/// meantime goes as the entries of the next. Orleans does not keep the order of calls, so it is kept here. Safe for use by any thread.
/// </summary>
/// <param name="onFault">Called for calls that failed, and for results that say that the partition moved or is gone.</param>
internal sealed class PartitionAppender(
    TopicPartition partition, IPartitionGrain grain, long maxQueuedBytes, Action<PartitionAppender, ErrorCode, Exception?> onFault)
{
    /// <summary>Entries of one call; enough to share a group commit, few enough to answer early ones soon.</summary>
    internal const int MaxEntriesPerCall = 256;

    /// <summary>Bytes of one call, unless its first entry alone is larger.</summary>
    internal const int MaxBytesPerCall = 8 * 1024 * 1024;

    private readonly Lock _lock = new();
    private readonly Queue<QueuedAppend> _queue = new();
    private readonly Queue<(QueuedAppend Append, TaskCompletionSource Queued)> _waiting = new();
    private long _queuedBytes;
    private bool _sending;

    public TopicPartition Partition { get; } = partition;

    /// <summary>When it was last used, in ticks of the scheduler's clock; kept for the scheduler.</summary>
    public long LastUsed { get; set; }

    /// <summary>Whether nothing is queued, waiting or in flight: sending ends only when nothing is.</summary>
    public bool IsIdle => !Volatile.Read(ref _sending);

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
        List<QueuedAppend>? batch = Take();
        Task<PartitionAppendResult>? next = batch is null ? null : CallAsync(batch);
        while (batch is not null)
        {
            (List<QueuedAppend> answered, Task<PartitionAppendResult> call) = (batch, next!);
            await ((Task)call).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

            // The next call is sent before this one's results are distributed: the partition does not wait for the sockets.
            batch = Take();
            next = batch is null ? null : CallAsync(batch);
            Exception? failure = !call.IsCompletedSuccessfully ? call.Exception?.InnerException ?? new TaskCanceledException(call)
                : call.Result.Results.Length == answered.Count ? null
                : new InvalidOperationException(
                    $"The partition answered {call.Result.Results.Length} results to {answered.Count} appends.");
            if (failure is null)
                Distribute(answered, call.Result);
            else
                Fail(answered, failure);
        }
    }

    private async Task<PartitionAppendResult> CallAsync(List<QueuedAppend> batch)
    {
        var entries = new ReadOnlyMemory<byte>[batch.Count];
        int timeoutMs = 0;
        for (int i = 0; i < batch.Count; i++)
        {
            entries[i] = batch[i].Batches;
            timeoutMs = Math.Max(timeoutMs, batch[i].TimeoutMs);
        }

        var request = new PartitionAppend(batch[0].RequiredAcks, timeoutMs, entries, batch[0].TopicId);
        return await grain.AppendAsync(request).ConfigureAwait(false);
    }

    /// <summary>
    /// The entries of the next call, all with the same acks and for the same topic; null when there are none, and then sending has ended.
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
                    && bytes + next.Batches.Length <= MaxBytesPerCall)))
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
