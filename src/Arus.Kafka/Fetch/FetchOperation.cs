using Arus.Grains;

namespace Arus.Kafka;

/// <param name="MaxBytes">The client's limit for this partition.</param>
internal readonly record struct FetchPosition(TopicPartition Partition, long Offset, int LeaderEpoch, int MaxBytes);

/// <param name="MinBytes">Below this the fetch waits.</param>
/// <param name="MaxWait">For this long.</param>
internal readonly record struct FetchLimits(int MinBytes, int MaxBytes, TimeSpan MaxWait, IsolationLevel Isolation);

/// <summary>
/// One fetch over several partitions: asks all at once what they have, and waits for more while that is less than the client wants.
/// </summary>
internal sealed partial class FetchOperation
{
    private readonly PartitionGrains _partitions;
    private readonly TopicCache _topicCache;
    private readonly TimeProvider _time;
    private readonly KafkaRequestContext _context;
    private readonly FetchWaiters _waiters;
    private readonly FetchPosition[] _positions;
    private readonly PartitionReadResult?[] _results;
    private readonly FetchLimits _limits;
    private readonly AsyncSignal _signal = new();
    private volatile bool _isLate;

    public FetchOperation(
        PartitionGrains partitions, TopicCache topicCache, TimeProvider time, KafkaRequestContext context, FetchPosition[] positions,
        FetchLimits limits)
    {
        _partitions = partitions;
        _topicCache = topicCache;
        _time = time;
        _context = context;
        _waiters = context.Connection.Waiters;
        _positions = positions;
        _limits = limits;
        _results = new PartitionReadResult?[positions.Length];
    }

    /// <summary>One response for each position; failures of grain calls are error codes in them.</summary>
    /// <param name="hasError">The client gets an error besides: then there is nothing to wait for.</param>
    /// <param name="closed">Ends the wait.</param>
    public async Task<PartitionReadResult[]> RunAsync(bool hasError, CancellationToken closed)
    {
        for (int i = 0; i < _positions.Length; i++)
        {
            // A call that still waits at this very position says: nothing there yet.
            FetchPosition position = _positions[i];
            _results[i] = _waiters.FindRunning(position.Partition, position.Offset, _limits.Isolation)?.Known;
        }

        await ReadAsync(Missing());
        if (!hasError && !IsEnough() && _limits.MaxWait > TimeSpan.Zero && _positions.Length > 0)
        {
            await WaitAsync(closed);
        }

        Trim();
        return _results!;
    }

    private List<int> Missing()
    {
        var missing = new List<int>(_positions.Length);
        for (int i = 0; i < _positions.Length; i++)
        {
            if (_results[i] is null)
            {
                missing.Add(i);
            }
        }

        return missing;
    }

    /// <summary>
    /// Asks partitions what they have, in rounds: as many at once as could fill the response, then those for which there is room left.
    /// </summary>
    private async Task ReadAsync(List<int> indexes)
    {
        // What is about to be replaced takes no room from what replaces it.
        indexes.ForEach(index => _results[index] = null);
        int next = 0;
        while (next < indexes.Count)
        {
            long room = Math.Max(0, _limits.MaxBytes - TotalBytes());
            bool nothingYet = room == _limits.MaxBytes;
            long granted = 0;
            int first = next;
            var calls = new List<Task<PartitionReadResult>>();
            while (next < indexes.Count && (next == first || room == 0 || granted + Want(indexes[next], room) <= room))
            {
                int want = Want(indexes[next], room);
                granted += want;
                calls.Add(ReadOneAsync(_positions[indexes[next]], want, minOneBatch: nothingYet && next == first));
                next++;
            }

            for (int i = 0; i < calls.Count; i++)
            {
                _results[indexes[first + i]] = await calls[i];
            }
        }

        await ReadTooLargeAsync();
    }

    /// <summary>
    /// The first partition that has something gives a batch even if that is larger than the limits, lest its consumer never gets past it.
    /// Only this one is asked for such a batch: from all others it would be read to be thrown away.
    /// </summary>
    private async Task ReadTooLargeAsync()
    {
        for (int i = 0; i < _positions.Length; i++)
        {
            PartitionReadResult result = _results[i]!;
            if (result.Error == ErrorCode.None && result.Records.SizeInBytes == 0 && result.HighWatermark > _positions[i].Offset)
            {
                _results[i] = await ReadOneAsync(_positions[i], Want(i, _limits.MaxBytes), minOneBatch: true);
            }

            if (_results[i]!.Records.SizeInBytes > 0)
            {
                return;
            }
        }
    }

    private int Want(int index, long room) => (int)Math.Min(Math.Max(_positions[index].MaxBytes, 0), room);

    private async Task<PartitionReadResult> ReadOneAsync(FetchPosition position, int maxBytes, bool minOneBatch)
    {
        try
        {
            return await _partitions.Get(position.Partition).FetchAsync(
                new PartitionRead(position.Offset, position.LeaderEpoch, maxBytes, minOneBatch, 0, _limits.Isolation));
        }
        catch (Exception exception)
        {
            _topicCache.Invalidate(position.Partition.Topic);
            return new PartitionReadResult(_context.MapAndLog(exception, position.Partition), -1, -1, -1, -1, []);
        }
    }

    private bool IsEnough()
    {
        long bytes = 0;
        foreach (PartitionReadResult? result in _results)
        {
            if (result!.Error != ErrorCode.None)
            {
                return true;
            }

            bytes += SizeOf(result);
        }

        return bytes >= Math.Min(_limits.MinBytes, _limits.MaxBytes);
    }

    private long TotalBytes()
    {
        long bytes = 0;
        foreach (PartitionReadResult? result in _results)
        {
            bytes += result is null ? 0 : SizeOf(result);
        }

        return bytes;
    }

    /// <summary>Only the first batch of a response may exceed its limits; what else did is left for the next fetch.</summary>
    private void Trim()
    {
        long total = 0;
        for (int i = 0; i < _results.Length; i++)
        {
            long size = SizeOf(_results[i]!);
            if (total > 0 && (total + size > _limits.MaxBytes || size > _positions[i].MaxBytes))
            {
                _results[i] = _results[i]! with { Records = [] };
                continue;
            }

            total += size;
        }
    }

    private static long SizeOf(PartitionReadResult response) => response.Records.SizeInBytes;

    /// <summary>The offset after the last batch; null without batches.</summary>
    private static long? EndOf(PartitionReadResult response)
    {
        long? end = null;
        foreach (ReadOnlyMemory<byte> piece in response.Records)
        {
            ReadOnlySpan<byte> rest = piece.Span;
            while (rest.Length >= RecordBatchHeader.Size)
            {
                var header = new RecordBatchHeader(rest);
                end = header.NextOffset;
                rest = rest[Math.Min(rest.Length, header.SizeInBytes)..];
            }
        }

        return end;
    }
}
