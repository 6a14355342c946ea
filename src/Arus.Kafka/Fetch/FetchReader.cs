using Arus.Grains;

namespace Arus.Kafka;

/// <param name="LeaderEpoch">The epoch that the client knows; -1 to skip the check.</param>
/// <param name="MaxBytes">The client's limit for this partition; an error where there is something to read if it is negative.</param>
/// <param name="LastFetchedEpoch">Of the last record before the position, checked against the log; null to skip the check.</param>
/// <param name="Replica">The broker at which the client is to read; -1 for the leader. See <see cref="PartitionReads"/>.</param>
internal readonly record struct FetchPosition(
    TopicPartition Partition, Guid TopicId, long Offset, int LeaderEpoch, int MaxBytes, int? LastFetchedEpoch = null, int Replica = -1);

/// <param name="MinBytes">Below this the fetch waits, for <paramref name="MaxWait"/> at most.</param>
internal readonly record struct FetchLimits(int MinBytes, int MaxBytes, TimeSpan MaxWait, IsolationLevel Isolation)
{
    /// <summary>Where the fetch stops reading a partition.</summary>
    public long EndOf(long highWatermark, long lastStableOffset) =>
        Isolation == IsolationLevel.ReadCommitted ? lastStableOffset : highWatermark;
}

/// <summary>
/// One fetch over several partitions, within its limits. Where the minimum of bytes is there it reads at once; otherwise a
/// <see cref="DelayedFetch"/> waits, and it reads when that is over.
/// </summary>
internal sealed class FetchReader(
    PartitionReads partitions, TopicCache topicCache, TimeProvider time, KafkaRequestContext context, FetchPosition[] positions,
    FetchLimits limits)
{
    /// <summary>Grain calls under way at once.</summary>
    private const int MaxCallsAtOnce = 256;

    /// <summary>
    /// Calls beyond those that could fill the response. What they give in excess is discarded, so they are few at first, and more when
    /// partitions turn out to have little.
    /// </summary>
    private const int MaxSurplusCalls = 64;
    private const long MaxSurplusBytes = 16 << 20;

    private readonly int _minBytes = Math.Min(limits.MinBytes, limits.MaxBytes);
    private readonly PartitionReadResult?[] _results = new PartitionReadResult?[positions.Length];
    private long _totalBytes;
    private int _final;

    /// <summary>What is known of each position; failures of grain calls are error codes. Null as long as nothing is known.</summary>
    public IReadOnlyList<PartitionReadResult?> Results => _results;

    /// <summary>Fills <see cref="Results"/>.</summary>
    /// <exception cref="OperationCanceledException">The client is gone.</exception>
    public async Task RunAsync()
    {
        OffsetWatches watches = context.Connection.Watches;
        await ReadAsync(FindUnknown(watches), _minBytes);
        bool waits = !IsComplete(0) && limits.MaxWait > TimeSpan.Zero && positions.Length > 0;
        if (waits)
            await new DelayedFetch(this, watches, time, positions, limits).WaitAsync(context.Closed);

        // A first read under a minimum leaves behind what is less than that by itself.
        if ((waits || _minBytes > 1) && !context.Closed.IsCancellationRequested)
            await ReadAsync([.. Enumerable.Range(0, positions.Length).Where(IsUnread)], 0);

        long read = _totalBytes;
        Trim();
        context.ReleaseMemory(read - _totalBytes);
    }

    /// <summary>The broker at which the client is to read this partition from now on; -1 for where it reads.</summary>
    public int ReplicaOf(int index) => partitions.IsElsewhere(positions[index], _results[index]!) ? positions[index].Replica : -1;

    /// <summary>The bytes that a position may give when there is <paramref name="room"/> for so many.</summary>
    public int Share(int index, long room) => (int)Math.Min(positions[index].MaxBytes, room);

    /// <summary>Notes what became known of a position.</summary>
    public void Set(int index, PartitionReadResult result)
    {
        if (_results[index] is { } before)
        {
            _totalBytes -= before.Records.SizeInBytes;
            _final -= IsFinal(index, before) ? 1 : 0;
        }

        _results[index] = result;
        _totalBytes += result.Records.SizeInBytes;
        _final += IsFinal(index, result) ? 1 : 0;
    }

    /// <summary>The result of a failed call.</summary>
    public PartitionReadResult Fail(TopicPartition partition, Exception exception)
    {
        topicCache.Invalidate(partition.Topic);
        return new PartitionReadResult(context.MapAndLog(exception, partition), -1, -1, -1, -1, []);
    }

    /// <summary>
    /// Whether nothing is waited for: the minimum is there, or an error, a divergence or another replica, which the client should learn
    /// at once.
    /// </summary>
    /// <param name="availableBytes">Of what is not read.</param>
    public bool IsComplete(long availableBytes) => _final > 0 || _totalBytes + availableBytes >= _minBytes;

    private bool IsFinal(int index, PartitionReadResult result) =>
        result.Error != ErrorCode.None || result.Diverging is not null || partitions.IsElsewhere(positions[index], result);

    /// <summary>
    /// The partitions of which nothing is known. A watch that is still running at a position says that nothing is there yet, or its answer
    /// is on the way, which is no matter to a fetch that waits for it.
    /// </summary>
    private List<int> FindUnknown(OffsetWatches watches)
    {
        var unknown = new List<int>(positions.Length);
        for (int i = 0; i < positions.Length; i++)
        {
            OffsetWatch? running = limits.MaxWait > TimeSpan.Zero
                ? watches.FindRunning(positions[i], positions[i].Offset, limits.Isolation)
                : null;
            if (running is null)
                unknown.Add(i);
            else
                Set(i, running.Known);
        }

        return unknown;
    }

    /// <summary>Reads partitions within the client's limit and the memory that there is for responses.</summary>
    private async Task ReadAsync(List<int> indexes, int minBytes)
    {
        long wanted = 0;
        foreach (int index in indexes)
            wanted += Math.Max(0, Share(index, limits.MaxBytes));

        long before = _totalBytes;
        long granted = context.TakeMemory(Math.Min(wanted, Math.Max(0, limits.MaxBytes - before)));
        try
        {
            await ReadRoundsAsync(indexes, before + granted, minBytes);
        }
        finally
        {
            context.ReleaseMemory(granted - (_totalBytes - before));
        }
    }

    /// <summary>
    /// Reads partitions in rounds: as many at once as could fill the response, and some more, then those for which there is room left.
    /// Those for which there is none are read for their offsets only, unless these are known.
    /// </summary>
    private async Task ReadRoundsAsync(List<int> indexes, long maxBytes, int minBytes)
    {
        int surplus = 0;
        for (int next = 0; next < indexes.Count; surplus = Math.Clamp(surplus * 2, 1, MaxSurplusCalls))
        {
            context.Gone.ThrowIfCancellationRequested();
            long room = Math.Max(0, maxBytes - _totalBytes);
            bool isEmpty = _totalBytes == 0;
            if (room == 0 && !isEmpty && _results[indexes[next]] is not null)
                return;

            int first = next;
            long granted = 0;
            int left = surplus;
            var calls = new List<Task<PartitionReadResult>>();
            while (next < indexes.Count && calls.Count < MaxCallsAtOnce)
            {
                int share = Share(indexes[next], room);
                if (next > first && room > 0 && granted + share > room && (--left < 0 || granted + share > MaxSurplusBytes))
                    break;

                granted += Math.Max(share, 0);
                calls.Add(ReadOneAsync(positions[indexes[next]], share, minOneBatch: isEmpty && next == first, minBytes));
                next++;
            }

            for (int i = 0; i < calls.Count; i++)
                Set(indexes[first + i], await calls[i]);
        }

        if (minBytes <= 1)
            await ReadTooLargeAsync(maxBytes);
    }

    /// <summary>
    /// The first partition that has something gives a batch even if that is larger than the limits, so that its consumer can get past it.
    /// Only this one is read so: what the others gave beyond the limits would be discarded.
    /// </summary>
    private async Task ReadTooLargeAsync(long maxBytes)
    {
        for (int i = 0; i < positions.Length; i++)
        {
            if (IsUnread(i))
                Set(i, await ReadOneAsync(positions[i], Share(i, maxBytes), minOneBatch: true, 0));

            if (_results[i]!.Records.SizeInBytes > 0)
                return;
        }
    }

    private async Task<PartitionReadResult> ReadOneAsync(FetchPosition position, int maxBytes, bool minOneBatch, int minBytes)
    {
        // Of who is to read elsewhere the leader is only asked whether its position is there.
        bool elsewhere = partitions.IsElsewhere(position);
        try
        {
            return await partitions.FetchAsync(
                position, new PartitionRead(
                    position.Offset, position.LeaderEpoch, elsewhere ? 0 : maxBytes, minOneBatch && !elsewhere, 0, limits.Isolation,
                    minBytes, position.TopicId, position.LastFetchedEpoch));
        }
        catch (Exception exception)
        {
            return Fail(position.Partition, exception);
        }
    }

    /// <summary>Only the first batch of a response may exceed its limits; what else did is left for the next fetch.</summary>
    private void Trim()
    {
        long total = 0;
        for (int i = 0; i < _results.Length; i++)
        {
            long size = _results[i]!.Records.SizeInBytes;
            if (size > 0 && total > 0 && (total + size > limits.MaxBytes || size > positions[i].MaxBytes))
            {
                Set(i, _results[i]! with { Records = [] });
                continue;
            }

            total += size;
        }
    }

    private bool IsUnread(int index) => _results[index] is { Records.SizeInBytes: 0 } result && !IsFinal(index, result)
        && limits.EndOf(result.HighWatermark, result.LastStableOffset) > positions[index].Offset;
}
