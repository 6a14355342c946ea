using System.Diagnostics;
using Arus.Grains;

namespace Arus.Kafka;

/// <param name="MaxBytes">The client's limit for this partition.</param>
internal readonly record struct FetchPosition(TopicPartition Partition, long Offset, int LeaderEpoch, int MaxBytes);

/// <param name="MinBytes">Below this the fetch waits, for <paramref name="MaxWait"/> at most.</param>
internal readonly record struct FetchLimits(int MinBytes, int MaxBytes, TimeSpan MaxWait, IsolationLevel Isolation);

/// <summary>
/// One fetch over several partitions. Where the minimum of bytes is there it reads at once. Otherwise it watches the partitions' offsets, sums
/// the bytes that become available, and reads once, when they suffice or the time is up.
/// </summary>
internal sealed class DelayedFetch(
    PartitionGrains partitions, TopicCache topicCache, TimeProvider time, KafkaRequestContext context, FetchPosition[] positions,
    FetchLimits limits) : IOffsetListener
{
    private readonly PartitionReadResult?[] _results = new PartitionReadResult?[positions.Length];
    private readonly int _minBytes = Math.Min(limits.MinBytes, limits.MaxBytes);
    private readonly AsyncSignal _signal = new();
    private readonly Lock _lock = new();
    private Watched[] _watched = [];
    private List<(int Index, PartitionOffsets? Offsets, Exception? Failure)> _answers = [];
    private volatile bool _isLate;

    /// <summary>One result for each position; failures of grain calls are error codes in them.</summary>
    /// <param name="hasError">The client gets an error besides: then there is nothing to wait for.</param>
    public async Task<PartitionReadResult[]> RunAsync(bool hasError)
    {
        await ReadAsync(FindUnknown(), _minBytes);
        bool waits = !hasError && !IsComplete() && limits.MaxWait > TimeSpan.Zero && positions.Length > 0;
        if (waits)
        {
            await WaitAsync();
        }

        // A first read under a minimum leaves behind what is less than that by itself.
        if ((waits || _minBytes > 1) && !context.Closed.IsCancellationRequested)
        {
            await ReadAsync(FindUnread(), 0);
        }

        Trim();
        return _results!;
    }

    void IOffsetListener.OnAnswer(int index, PartitionOffsets? offsets, Exception? failure)
    {
        lock (_lock)
        {
            _answers.Add((index, offsets, failure));
        }

        _signal.Set();
    }

    /// <summary>The partitions of which nothing is known. A watch that is still running at a position says that nothing is there yet.</summary>
    private List<int> FindUnknown()
    {
        var unknown = new List<int>(positions.Length);
        for (int i = 0; i < positions.Length; i++)
        {
            _results[i] = context.Connection.Watches.FindRunning(positions[i].Partition, positions[i].Offset, limits.Isolation)?.Known;
            if (_results[i] is null)
            {
                unknown.Add(i);
            }
        }

        return unknown;
    }

    private List<int> FindUnread()
    {
        var unread = new List<int>();
        for (int i = 0; i < positions.Length; i++)
        {
            if (IsUnread(i))
            {
                unread.Add(i);
            }
        }

        return unread;
    }

    private bool IsUnread(int index) => _results[index] is { Error: ErrorCode.None, Records.SizeInBytes: 0 } result
        && result.HighWatermark > positions[index].Offset;

    /// <summary>
    /// Reads partitions in rounds: as many at once as could fill the response, then those for which there is room left. Those for which there
    /// is none are asked for their offsets, unless they are known.
    /// </summary>
    private async Task ReadAsync(List<int> indexes, int minBytes)
    {
        for (int next = 0; next < indexes.Count;)
        {
            long room = Math.Max(0, limits.MaxBytes - TotalBytes());
            bool isEmpty = room == limits.MaxBytes;
            if (room == 0 && !isEmpty && _results[indexes[next]] is not null)
            {
                return;
            }

            int first = next;
            long granted = 0;
            var calls = new List<Task<PartitionReadResult>>();
            while (next < indexes.Count && (next == first || room == 0 || granted + Share(indexes[next], room) <= room))
            {
                int share = Share(indexes[next], room);
                granted += share;
                calls.Add(ReadOneAsync(positions[indexes[next]], share, minOneBatch: isEmpty && next == first, minBytes));
                next++;
            }

            for (int i = 0; i < calls.Count; i++)
            {
                _results[indexes[first + i]] = await calls[i];
            }
        }

        if (minBytes <= 1)
        {
            await ReadTooLargeAsync();
        }
    }

    /// <summary>
    /// The first partition that has something gives a batch even if that is larger than the limits, so that its consumer can get past it.
    /// Only this one is asked for such a batch: from all others it would be read to be thrown away.
    /// </summary>
    private async Task ReadTooLargeAsync()
    {
        for (int i = 0; i < positions.Length; i++)
        {
            if (IsUnread(i))
            {
                _results[i] = await ReadOneAsync(positions[i], Share(i, limits.MaxBytes), minOneBatch: true, 0);
            }

            if (_results[i]!.Records.SizeInBytes > 0)
            {
                return;
            }
        }
    }

    private int Share(int index, long room) => (int)Math.Min(Math.Max(positions[index].MaxBytes, 0), room);

    private async Task<PartitionReadResult> ReadOneAsync(FetchPosition position, int maxBytes, bool minOneBatch, int minBytes)
    {
        try
        {
            return await partitions.Get(position.Partition).FetchAsync(
                new PartitionRead(position.Offset, position.LeaderEpoch, maxBytes, minOneBatch, 0, limits.Isolation, minBytes));
        }
        catch (Exception exception)
        {
            return Fail(position.Partition, exception);
        }
    }

    private PartitionReadResult Fail(TopicPartition partition, Exception exception)
    {
        topicCache.Invalidate(partition.Topic);
        return new PartitionReadResult(context.MapAndLog(exception, partition), -1, -1, -1, -1, []);
    }

    private async Task WaitAsync()
    {
        _watched = new Watched[positions.Length];

        // Trust the timer, not the clock: a timer may fire slightly before GetTimestamp reaches the deadline.
        await using ITimer timer = time.CreateTimer(
            static fetch => ((DelayedFetch)fetch!).OnLate(), this, limits.MaxWait, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration registration = context.Closed.UnsafeRegister(
            static signal => ((AsyncSignal)signal!).Set(), _signal);
        try
        {
            for (int i = 0; i < positions.Length; i++)
            {
                _watched[i].AfterOffset = positions[i].Offset;
                Watch(i);
            }

            do
            {
                await _signal.WaitAsync();
                TakeAnswers();
            }
            while (!_isLate && !context.Closed.IsCancellationRequested && !IsComplete());
        }
        finally
        {
            foreach (Watched watched in _watched)
            {
                watched.Watch?.Remove(this);
            }
        }
    }

    private void OnLate()
    {
        _isLate = true;
        _signal.Set();
    }

    private void Watch(int index)
    {
        FetchPosition position = positions[index];
        _watched[index].Watch = context.Connection.Watches.GetOrStart(
            position.Partition,
            new PartitionWait(
                _watched[index].AfterOffset, position.LeaderEpoch, Share(index, limits.MaxBytes), OffsetWatches.CallWaitMs, limits.Isolation),
            _results[index]!, this, index);
    }

    /// <summary>Counts what has become available, and watches on where that is not enough.</summary>
    private void TakeAnswers()
    {
        List<(int Index, PartitionOffsets? Offsets, Exception? Failure)> answers;
        lock (_lock)
        {
            (answers, _answers) = (_answers, []);
        }

        foreach ((int index, PartitionOffsets? offsets, Exception? failure) in answers)
        {
            Debug.Assert(_results[index]!.Records.SizeInBytes == 0, "What was read is not waited for.");
            _watched[index].Watch = null;
            if (offsets is null)
            {
                _results[index] = Fail(positions[index].Partition, failure!);
            }
            else
            {
                Take(index, offsets);
            }
        }

        if (!IsComplete())
        {
            foreach ((int index, _, _) in answers)
            {
                if (_watched[index].AvailableBytes < CountedShare(index))
                {
                    Watch(index);
                }
            }
        }
    }

    private void Take(int index, PartitionOffsets offsets)
    {
        _results[index] = new PartitionReadResult(
            offsets.Error, offsets.LeaderEpoch, offsets.HighWatermark, offsets.LastStableOffset, offsets.LogStartOffset, []);
        ref Watched watched = ref _watched[index];
        watched.AvailableBytes = Math.Min(CountedShare(index), watched.AvailableBytes + offsets.AvailableBytes);
        watched.AfterOffset = Math.Max(watched.AfterOffset, offsets.HighWatermark);
    }

    /// <summary>A partition counts with no more than it may give, but with its first batch in any case.</summary>
    private int CountedShare(int index) => Math.Max(1, Share(index, limits.MaxBytes));

    /// <summary>Whether nothing is waited for: the minimum is there, or an error, which the client should learn at once.</summary>
    private bool IsComplete()
    {
        long bytes = 0;
        foreach (PartitionReadResult? result in _results)
        {
            if (result!.Error != ErrorCode.None)
            {
                return true;
            }

            bytes += result.Records.SizeInBytes;
        }

        foreach (Watched watched in _watched)
        {
            bytes += watched.AvailableBytes;
        }

        return bytes >= _minBytes;
    }

    private long TotalBytes()
    {
        long bytes = 0;
        foreach (PartitionReadResult? result in _results)
        {
            bytes += result?.Records.SizeInBytes ?? 0;
        }

        return bytes;
    }

    /// <summary>Only the first batch of a response may exceed its limits; what else did is left for the next fetch.</summary>
    private void Trim()
    {
        long total = 0;
        for (int i = 0; i < _results.Length; i++)
        {
            long size = _results[i]!.Records.SizeInBytes;
            if (total > 0 && (total + size > limits.MaxBytes || size > positions[i].MaxBytes))
            {
                _results[i] = _results[i]! with { Records = [] };
                continue;
            }

            total += size;
        }
    }

    /// <summary>What is known of a partition that the fetch waits for.</summary>
    private record struct Watched
    {
        /// <summary>The high watermark up to which its bytes are counted.</summary>
        public long AfterOffset;

        public long AvailableBytes;

        /// <summary>Null when it is not watched any more.</summary>
        public OffsetWatch? Watch;
    }
}
