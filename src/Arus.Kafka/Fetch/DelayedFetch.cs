using System.Diagnostics;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// The wait of a fetch whose minimum of bytes is missing: it watches the offsets of its partitions and sums the bytes that become
/// available. It reads nothing.
/// </summary>
internal sealed class DelayedFetch(
    FetchReader reader, OffsetWatches watches, TimeProvider time, FetchPosition[] positions, FetchLimits limits)
{
    private readonly AsyncSignal _signal = new();
    private readonly Lock _lock = new();
    private readonly Watched[] _watched = new Watched[positions.Length];
    private List<(int Index, PartitionOffsets? Offsets, Exception? Failure)> _answers = [];
    private long _availableBytes;
    private volatile bool _isLate;

    /// <summary>
    /// Ends when the minimum is there, a partition answers an error, the time is up, or <paramref name="closed"/> is tripped. The reader
    /// then knows the partitions' newest offsets.
    /// </summary>
    public async Task WaitAsync(CancellationToken closed)
    {
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
            while (!_isLate && !closed.IsCancellationRequested && !reader.IsComplete(_availableBytes));
        }
        finally
        {
            foreach (Watched watched in _watched)
                watched.Watch?.Remove(this);
        }
    }

    /// <summary>Takes what a watch brought, once and on any thread.</summary>
    /// <param name="index">Of the position, as given to <see cref="OffsetWatches.GetOrStart"/>.</param>
    /// <param name="offsets">Null when the call failed.</param>
    public void OnAnswer(int index, PartitionOffsets? offsets, Exception? failure)
    {
        lock (_lock)
            _answers.Add((index, offsets, failure));

        _signal.Set();
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
            position,
            new PartitionWait(
                _watched[index].AfterOffset, position.LeaderEpoch, reader.Share(index, limits.MaxBytes), OffsetWatches.CallWaitMs,
                limits.Isolation, position.TopicId),
            reader.Results[index]!, this, index);
    }

    /// <summary>Counts what has become available, and watches on where that is not enough.</summary>
    private void TakeAnswers()
    {
        List<(int Index, PartitionOffsets? Offsets, Exception? Failure)> answers;
        lock (_lock)
            (answers, _answers) = (_answers, []);

        foreach ((int index, PartitionOffsets? offsets, Exception? failure) in answers)
        {
            Debug.Assert(reader.Results[index]!.Records.SizeInBytes == 0, "What was read is not waited for.");
            _watched[index].Watch = null;
            if (offsets is null)
                reader.Set(index, reader.Fail(positions[index].Partition, failure!));
            else
                Take(index, offsets);
        }

        if (!reader.IsComplete(_availableBytes))
        {
            foreach ((int index, _, _) in answers)
            {
                if (_watched[index].AvailableBytes < CountedShare(index))
                    Watch(index);
            }
        }
    }

    private void Take(int index, PartitionOffsets offsets)
    {
        reader.Set(index, new PartitionReadResult(
            offsets.Error, offsets.LeaderEpoch, offsets.HighWatermark, offsets.LastStableOffset, offsets.LogStartOffset, []));
        ref Watched watched = ref _watched[index];
        _availableBytes -= watched.AvailableBytes;
        watched.AvailableBytes = Math.Min(CountedShare(index), watched.AvailableBytes + offsets.AvailableBytes);
        _availableBytes += watched.AvailableBytes;
        watched.AfterOffset = Math.Max(watched.AfterOffset, limits.EndOf(offsets.HighWatermark, offsets.LastStableOffset));
    }

    /// <summary>A partition counts with no more than it may give, but with its first batch in any case.</summary>
    private int CountedShare(int index) => Math.Max(1, reader.Share(index, limits.MaxBytes));

    /// <summary>What is known of a partition that the fetch waits for.</summary>
    private record struct Watched
    {
        /// <summary>The offset up to which its bytes are counted.</summary>
        public long AfterOffset;

        public long AvailableBytes;

        /// <summary>Null when it is not watched any more.</summary>
        public OffsetWatch? Watch;
    }
}
