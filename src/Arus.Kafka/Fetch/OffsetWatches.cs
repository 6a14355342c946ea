using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// The waiting grain calls of one connection: one for each partition, which outlives the fetch request that made it and serves the next
/// one. A client that polls a thousand quiet partitions twice a second costs a call each few seconds and partition, not two a second.
/// Safe for use by any thread.
/// </summary>
internal sealed class OffsetWatches(PartitionReads partitions, TimeProvider time)
{
    /// <summary>How long one call waits: longer than most clients' fetches, short enough to notice soon that a silo is gone.</summary>
    internal const int CallWaitMs = 3_000;

    /// <summary>A call that is this late is given up; it went to a silo that died, or the partition is moving.</summary>
    private static readonly TimeSpan GiveUpAfter = TimeSpan.FromMilliseconds(CallWaitMs + 1_000);

    private readonly Lock _lock = new();
    private readonly Dictionary<TopicPartition, OffsetWatch> _running = [];

    /// <summary>The call that waits for the high watermark to pass this offset, if one is running for the same epochs.</summary>
    public OffsetWatch? FindRunning(FetchPosition position, long afterOffset, IsolationLevel isolation)
    {
        lock (_lock)
        {
            return _running.TryGetValue(position.Partition, out OffsetWatch? watch) && watch.Request.AfterOffset == afterOffset
                && watch.Request.TopicId == position.TopicId && watch.Request.Isolation == isolation
                && watch.Request.CurrentLeaderEpoch == position.LeaderEpoch
                && watch.Position.LastFetchedEpoch == position.LastFetchedEpoch && watch.Position.Replica == position.Replica
                && time.GetElapsedTime(watch.StartedAt) <= GiveUpAfter
                ? watch
                : null;
        }
    }

    /// <summary>Watches a partition with the call that is running at this offset, or a new one.</summary>
    /// <param name="fetch">Told the answer, unless it is removed before.</param>
    /// <param name="known">The partition's answer at this offset, for fetches that find the call running.</param>
    public OffsetWatch GetOrStart(
        FetchPosition position, PartitionWait request, PartitionReadResult known, DelayedFetch fetch, int index)
    {
        OffsetWatch watch;
        lock (_lock)
        {
            if (FindRunning(position, request.AfterOffset, request.Isolation) is { } running)
            {
                running.Add(fetch, index);
                return running;
            }

            watch = new OffsetWatch(request, position, known, time.GetTimestamp());
            watch.Add(fetch, index);
            _running[position.Partition] = watch;
        }

        _ = RunAsync(watch);
        return watch;
    }

    /// <summary>
    /// A request of this connection changes the partition: what a running call knew before is not to be answered behind it.
    /// </summary>
    public void Forget(TopicPartition partition)
    {
        lock (_lock)
            _running.Remove(partition);
    }

    private async Task RunAsync(OffsetWatch watch)
    {
        TopicPartition partition = watch.Position.Partition;
        PartitionOffsets? offsets = null;
        Exception? failure = null;
        try
        {
            offsets = await partitions.WaitForOffsetAsync(watch.Position, watch.Request);
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        lock (_lock)
        {
            if (_running.TryGetValue(partition, out OffsetWatch? current) && ReferenceEquals(current, watch))
                _running.Remove(partition);
        }

        watch.Complete(offsets, failure);
    }
}

/// <summary>One waiting call and the fetches that it is to wake. Safe for use by any thread.</summary>
/// <param name="Position">Of the fetch that began it.</param>
/// <param name="Known">What the partition answered last: its offsets, as long as the call waits.</param>
internal sealed record OffsetWatch(PartitionWait Request, FetchPosition Position, PartitionReadResult Known, long StartedAt)
{
    private readonly List<(DelayedFetch Fetch, int Index)> _fetches = [];

    public void Add(DelayedFetch fetch, int index)
    {
        lock (_fetches)
            _fetches.Add((fetch, index));
    }

    public void Remove(DelayedFetch fetch)
    {
        lock (_fetches)
            _fetches.RemoveAll(entry => entry.Fetch == fetch);
    }

    public void Complete(PartitionOffsets? offsets, Exception? failure)
    {
        lock (_fetches)
        {
            foreach ((DelayedFetch fetch, int index) in _fetches)
                fetch.OnAnswer(index, offsets, failure);
        }
    }
}
