using System.Diagnostics;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// One fetch over several partitions. Where the minimum of bytes is there it reads at once. Otherwise it watches the partitions' offsets,
/// sums the bytes that become available, and reads once, when they suffice or the time is up.
/// </summary>
internal sealed class DelayedFetch(
    FetchReader reader, OffsetWatches watches, TimeProvider time, FetchPosition[] positions, FetchLimits limits) : IOffsetListener
{
    private readonly PartitionReadResult?[] _results = reader.Results;
    private readonly int _minBytes = Math.Min(limits.MinBytes, limits.MaxBytes);
    private readonly AsyncSignal _signal = new();
    private readonly Lock _lock = new();
    private Watched[] _watched = [];
    private List<(int Index, PartitionOffsets? Offsets, Exception? Failure)> _answers = [];
    private volatile bool _isLate;

    /// <summary>One result for each position; failures of grain calls are error codes in them.</summary>
    /// <param name="hasError">The client gets an error besides: then there is nothing to wait for.</param>
    /// <param name="closed">Ends the wait.</param>
    public async Task<PartitionReadResult[]> RunAsync(bool hasError, CancellationToken closed)
    {
        await reader.ReadAsync(FindUnknown(), _minBytes);
        bool waits = !hasError && !IsComplete() && limits.MaxWait > TimeSpan.Zero && positions.Length > 0;
        if (waits)
        {
            await WaitAsync(closed);
        }

        // A first read under a minimum leaves behind what is less than that by itself.
        if ((waits || _minBytes > 1) && !closed.IsCancellationRequested)
        {
            await reader.ReadAsync(reader.FindUnread(), 0);
        }

        reader.Trim();
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

    /// <summary>
    /// The partitions of which nothing is known. A watch that is still running at a position says that nothing is there yet.
    /// </summary>
    private List<int> FindUnknown()
    {
        var unknown = new List<int>(positions.Length);
        for (int i = 0; i < positions.Length; i++)
        {
            _results[i] = watches.FindRunning(positions[i].Partition, positions[i].Offset, limits.Isolation)?.Known;
            if (_results[i] is null)
            {
                unknown.Add(i);
            }
        }

        return unknown;
    }

    private async Task WaitAsync(CancellationToken closed)
    {
        _watched = new Watched[positions.Length];

        // Trust the timer, not the clock: a timer may fire slightly before GetTimestamp reaches the deadline.
        await using ITimer timer = time.CreateTimer(
            static fetch => ((DelayedFetch)fetch!).OnLate(), this, limits.MaxWait, Timeout.InfiniteTimeSpan);
        await using CancellationTokenRegistration registration = closed.UnsafeRegister(
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
            while (!_isLate && !closed.IsCancellationRequested && !IsComplete());
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
        _watched[index].Watch = watches.GetOrStart(
            position.Partition,
            new PartitionWait(
                _watched[index].AfterOffset, position.LeaderEpoch, reader.Share(index, limits.MaxBytes), OffsetWatches.CallWaitMs,
                limits.Isolation),
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
                _results[index] = reader.Fail(positions[index].Partition, failure!);
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
    private int CountedShare(int index) => Math.Max(1, reader.Share(index, limits.MaxBytes));

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
