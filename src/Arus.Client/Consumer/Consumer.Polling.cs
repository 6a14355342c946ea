using System.Runtime.CompilerServices;

namespace Arus.Client;

/// <content>Polling and enumerating: how buffered records become the application's.</content>
internal sealed partial class Consumer<TKey, TValue> : IRecordSink
{
    private readonly List<PartitionFetcher> _touched = [];
    private List<ConsumeResult<TKey, TValue>> _records = [];
    private RecordSerializationException? _unreadable;
    private int _room;
    private int _isPolling;

    int IRecordSink.Room => _unreadable is null ? _room - _records.Count : 0;

    public async ValueTask<IReadOnlyList<ConsumeResult<TKey, TValue>>> PollAsync(
        TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        EnterPoll();
        try
        {
            MarkProcessed();
            List<ConsumeResult<TKey, TValue>> result = await ReadAsync(timeout, null, cancellationToken).ConfigureAwait(false);
            _records = [];
            return result;
        }
        finally
        {
            Volatile.Write(ref _isPolling, 0);
        }
    }

    public async IAsyncEnumerable<ConsumeResult<TKey, TValue>> ConsumeAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        EnterPoll();
        var runs = new List<Run>();
        int given = 0;
        try
        {
            while (true)
            {
                MarkProcessed();
                runs.Clear();
                List<ConsumeResult<TKey, TValue>> batch = await ReadAsync(
                    Timeout.InfiniteTimeSpan, runs, cancellationToken).ConfigureAwait(false);
                int next = given = 0;
                foreach (Run run in runs)
                {
                    for (; next < run.End && run.Fetcher.TryDeliver(batch[next].Offset, run.Version); next++)
                    {
                        given = next + 1;
                        yield return batch[next];
                        core.Membership?.RecordPoll();
                        if (cancellationToken.IsCancellationRequested)
                        {
                            run.Fetcher.MarkProcessed();
                            _session.RecordPoll();
                            throw new OperationCanceledException(cancellationToken);
                        }
                    }

                    run.Fetcher.MarkProcessed();
                    if (next == run.End)
                        run.Fetcher.MarkDelivered(run.Position, run.Version);

                    _session.RecordPoll();
                    next = run.End;
                }

                batch.Clear();
            }
        }
        finally
        {
            TakeBack(runs, given);
            Volatile.Write(ref _isPolling, 0);
        }
    }

    bool IRecordSink.TryAdd(in RawRecord record)
    {
        try
        {
            _records.Add(ConsumeResult<TKey, TValue>.Deserialize(record, keySerializer, valueSerializer));
        }
        catch (RecordSerializationException) when (_records.Count > 0)
        {
            // This poll delivers the records before this one, and the next poll throws.
            _room = _records.Count;
            return false;
        }
        catch (RecordSerializationException e)
        {
            _unreadable = e;
        }

        return true;
    }

    /// <summary>Takes back what an enumeration that ended early has not delivered, so that the next poll delivers it.</summary>
    private void TakeBack(List<Run> runs, int given)
    {
        int start = 0;
        foreach (Run run in runs)
        {
            int first = Math.Max(start, given);
            if (first < run.End && first < _records.Count)
                core.TakeBack(run.Fetcher, _records[first].Offset, run.Version);

            start = run.End;
        }

        _records.Clear();
    }

    private void EnterPoll()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (Interlocked.Exchange(ref _isPolling, 1) != 0)
        {
            throw new InvalidOperationException(
                "A consumer is polled by one thread at a time, and another poll or enumeration is under way.");
        }
    }

    private void MarkProcessed()
    {
        foreach (PartitionFetcher fetcher in _touched)
            fetcher.MarkProcessed();

        _touched.Clear();
        _session.RecordPoll();
    }

    private async ValueTask<List<ConsumeResult<TKey, TValue>>> ReadAsync(
        TimeSpan timeout, List<Run>? runs, CancellationToken cancellationToken)
    {
        long start = core.Time.GetTimestamp();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            await _session.ThrowIfEndedAsync().ConfigureAwait(false);
            Drain(runs);
            if (_records.Count > 0)
                return _records;

            if (_unreadable is { } e)
            {
                _unreadable = null;
                throw e;
            }

            if (core.FirstFailure() is { } failure)
                throw failure;

            TimeSpan left = timeout == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : timeout - core.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
                return _records;

            // Waiting counts as polling: a consumer of a topic without new records keeps its partitions.
            TimeSpan alive = core.Options.MaxPollInterval / 3;
            await core.WaitForDataAsync(left > alive ? alive : left, cancellationToken).ConfigureAwait(false);
            _session.RecordPoll();
        }
    }

    private void Drain(List<Run>? runs)
    {
        _room = core.Options.MaxPollRecords;
        int before = 0;
        while (((IRecordSink)this).Room > 0 && core.DrainNext(this, out int version) is { } fetcher)
        {
            long position = fetcher.Position;
            _touched.Add(fetcher);
            ClientDiagnostics.RecordConsumed(fetcher.Partition, _records.Count - before);
            if (runs is not null && _records.Count > before)
                runs.Add(new Run(fetcher, version, _records.Count, position));
            else if (runs is null || !TryExtend(runs, fetcher, version, position))
                fetcher.MarkDelivered(position, version);

            before = _records.Count;
        }
    }

    /// <summary>
    /// Offsets without records count as delivered once the records before them are, which may be of the same poll: a partition is drained
    /// again when more of it arrives during the poll. False if this poll has no records of the partition.
    /// </summary>
    private static bool TryExtend(List<Run> runs, PartitionFetcher fetcher, int version, long position)
    {
        int last = runs.FindLastIndex(run => run.Fetcher == fetcher && run.Version == version);
        if (last >= 0)
            runs[last] = runs[last] with { Position = position };

        return last >= 0;
    }

    /// <summary>The application keeps the list, so its capacity is set once, to the number of records.</summary>
    void IRecordSink.Begin(PartitionFetcher fetcher)
    {
        int wanted = Math.Min(_room, _records.Count + fetcher.BufferedRecords);
        if (wanted > _records.Capacity)
            _records.Capacity = wanted;
    }

    /// <summary>Records that follow each other in a poll and are of one partition.</summary>
    /// <param name="End">The index after the last.</param>
    /// <param name="Position">The partition's position after the last.</param>
    private readonly record struct Run(PartitionFetcher Fetcher, int Version, int End, long Position);
}
