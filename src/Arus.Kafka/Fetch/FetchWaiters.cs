using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// The waiting grain calls of one connection: at most one for each partition, which outlives the fetch request that made it and serves the
/// next one. A client that polls a thousand quiet partitions twice a second costs a call each few seconds and partition, not two a second.
/// Safe for use by any thread.
/// </summary>
internal sealed class FetchWaiters(PartitionGrains partitions, TimeProvider time)
{
    /// <summary>How long one call waits: longer than most clients' fetches, short enough to notice soon that a silo is gone.</summary>
    internal const int CallWaitMs = 3_000;

    /// <summary>A call that is this late is given up; it went to a silo that died, or the partition is moving.</summary>
    private static readonly TimeSpan GiveUpAfter = TimeSpan.FromMilliseconds(CallWaitMs + 1_000);

    private readonly Lock _lock = new();
    private readonly Dictionary<TopicPartition, FetchWaiter> _waiters = [];
    private readonly List<AsyncSignal> _listeners = [];

    /// <summary>Wakes <paramref name="signal"/> whenever a waiting call ends, until <see cref="Unsubscribe"/>.</summary>
    public void Subscribe(AsyncSignal signal)
    {
        lock (_lock)
        {
            _listeners.Add(signal);
        }
    }

    public void Unsubscribe(AsyncSignal signal)
    {
        lock (_lock)
        {
            _listeners.Remove(signal);
        }
    }

    /// <summary>The call that waits for records after this position, if there is one and it has not ended.</summary>
    public FetchWaiter? FindRunning(TopicPartition partition, long offset, IsolationLevel isolation)
    {
        lock (_lock)
        {
            return _waiters.TryGetValue(partition, out FetchWaiter? waiter) && !waiter.Call.IsCompleted && !IsLost(waiter)
                && waiter.Request.Offset == offset && waiter.Request.Isolation == isolation
                ? waiter
                : null;
        }
    }

    /// <summary>The partition's waiting call, whatever it waits for; begins one if there is none.</summary>
    /// <param name="known">What the partition answered last: the state of a partition that has nothing new.</param>
    public FetchWaiter GetOrStart(TopicPartition partition, PartitionRead request, PartitionReadResult known)
    {
        FetchWaiter waiter;
        lock (_lock)
        {
            if (_waiters.TryGetValue(partition, out FetchWaiter? running) && !running.Call.IsCompleted && !IsLost(running))
            {
                return running;
            }

            request = request with { MaxWaitMs = CallWaitMs };
            waiter = new FetchWaiter(request, Call(partition, request), known, time.GetTimestamp());
            _waiters[partition] = waiter;
        }

        _ = NotifyAsync(partition, waiter);
        return waiter;
    }

    private async Task<PartitionReadResult> Call(TopicPartition partition, PartitionRead request)
    {
        // Off this thread's stack, and so off the lock that is held.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return await partitions.Get(partition).FetchAsync(request);
    }

    private async Task NotifyAsync(TopicPartition partition, FetchWaiter waiter)
    {
        await ((Task)waiter.Call).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_lock)
        {
            if (_waiters.TryGetValue(partition, out FetchWaiter? current) && ReferenceEquals(current, waiter))
            {
                _waiters.Remove(partition);
            }

            foreach (AsyncSignal listener in _listeners)
            {
                listener.Set();
            }
        }
    }

    private bool IsLost(FetchWaiter waiter) => time.GetElapsedTime(waiter.StartedAt) > GiveUpAfter;
}

/// <summary>One waiting call.</summary>
internal sealed record FetchWaiter(PartitionRead Request, Task<PartitionReadResult> Call, PartitionReadResult Known, long StartedAt);
