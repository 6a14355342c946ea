using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>The partitions of one consumer of any key and value type. Thread-safe, except that one poll may run at a time.</summary>
internal sealed class ConsumerCore(
    IGrainFactory grains, SiloLosses losses, GrainRetry retry, ConsumerOptions options, TimeProvider time, ILogger logger)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TopicPartition, FetchLoop> _partitions = [];
    private readonly Queue<PartitionFetcher> _ready = new();
    private readonly AsyncSignal _dataReady = new(time);
    private long _bufferedBytes;

    public SiloLosses Losses { get; } = losses;

    public ConsumerOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    public ILogger Logger { get; } = logger;

    /// <summary>The place in the group; null while partitions are assigned by hand.</summary>
    public IGroupMembership? Membership { get; set; }

    public bool IsBufferFull => Interlocked.Read(ref _bufferedBytes) >= Options.FetchMaxBytes;

    public IReadOnlyList<TopicPartition> Assignment => Array.ConvertAll(All(), fetcher => fetcher.Partition);

    public void Add(IEnumerable<TopicPartitionOffset> added)
    {
        lock (_gate)
        {
            foreach (TopicPartitionOffset place in added)
            {
                var loop = new FetchLoop(this, grains, new PartitionFetcher(place.Partition, place.Offset, Options.IsolationLevel));
                if (_partitions.TryAdd(place.Partition, loop))
                    loop.Start();
            }
        }
    }

    /// <summary>Stops reading; the loops end by themselves.</summary>
    /// <param name="removed">Null for all.</param>
    public void Remove(IEnumerable<TopicPartition>? removed)
    {
        lock (_gate)
        {
            foreach (TopicPartition partition in (removed ?? _partitions.Keys).ToArray())
            {
                if (_partitions.Remove(partition, out FetchLoop? loop))
                {
                    loop.Fetcher.BeginRevoke();
                    loop.Stop();
                    Interlocked.Add(ref _bufferedBytes, -loop.Fetcher.Seek(0));
                }
            }
        }

        WakeLoops();
    }

    public PartitionFetcher? Find(TopicPartition partition)
    {
        lock (_gate)
            return _partitions.GetValueOrDefault(partition)?.Fetcher;
    }

    public PartitionFetcher Get(TopicPartition partition) =>
        Find(partition) ?? throw new InvalidOperationException($"Partition {partition} is not assigned to this consumer.");

    public PartitionFetcher[] All()
    {
        lock (_gate)
            return [.. _partitions.Values.Select(loop => loop.Fetcher)];
    }

    public void Seek(TopicPartition partition, long offset)
    {
        Interlocked.Add(ref _bufferedBytes, -Get(partition).Seek(offset));
        WakeLoops();
    }

    /// <inheritdoc cref="PartitionFetcher.TakeBack"/>
    public void TakeBack(PartitionFetcher fetcher, long offset, int version)
    {
        Interlocked.Add(ref _bufferedBytes, -fetcher.TakeBack(offset, version));
        WakeLoops();
    }

    public void SetPaused(IEnumerable<TopicPartition> which, bool paused)
    {
        foreach (PartitionFetcher fetcher in which.Select(Get))
        {
            fetcher.SetPaused(paused);
            Enqueue(fetcher);
        }
    }

    /// <summary>Buffers what a loop has fetched.</summary>
    public void Accept(PartitionFetcher fetcher, PartitionReadResult response, int version)
    {
        Interlocked.Add(ref _bufferedBytes, fetcher.Accept(response, version));
        Enqueue(fetcher);
    }

    public void SignalPoll() => _dataReady.Set();

    /// <summary>Hands out records of one partition that has some, and returns that partition; null when none has.</summary>
    public PartitionFetcher? DrainNext(IRecordSink sink, out int version)
    {
        version = 0;
        PartitionFetcher? fetcher;
        lock (_gate)
        {
            if (!_ready.TryDequeue(out fetcher))
                return null;

            fetcher.IsQueued = false;
        }

        sink.Begin(fetcher);
        int released = fetcher.Drain(sink, Options.CheckCrcs, out bool hasMore, out version);
        long after = Interlocked.Add(ref _bufferedBytes, -released);
        if (hasMore)
            Enqueue(fetcher);

        // The drain that takes the buffer below the limit wakes the loops that wait for it; a loop may have filled it during the drain.
        if (after < Options.FetchMaxBytes && after + released >= Options.FetchMaxBytes)
            WakeLoops();

        return fetcher;
    }

    /// <summary>The failure that stops a partition, if one does.</summary>
    public ArusException? FirstFailure() => All().Select(fetcher => fetcher.Failure).FirstOrDefault(e => e is not null);

    public Task WaitForDataAsync(TimeSpan timeout, CancellationToken cancellationToken) => _dataReady.WaitAsync(timeout, cancellationToken);

    /// <summary>Where <c>auto.offset.reset</c> says to begin.</summary>
    /// <exception cref="ConsumeException">It is <see cref="AutoOffsetReset.None"/>.</exception>
    public long ResetOffset(TopicPartition partition, long offset) => Options.AutoOffsetReset switch
    {
        AutoOffsetReset.Earliest => TopicPartitionOffset.Beginning,
        AutoOffsetReset.Latest => TopicPartitionOffset.End,
        _ => throw new ConsumeException(
            ErrorCode.OffsetOutOfRange, partition, offset,
            $"{partition} has no offset to begin at, and auto.offset.reset is none: seek to one, or choose earliest or latest."),
    };

    /// <summary>-1 when no record is as late.</summary>
    public async Task<long> OffsetForTimeAsync(TopicPartition partition, long timestampMs, CancellationToken cancellationToken)
    {
        IPartitionGrain grain = grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));
        var request = new ListOffsetRequest(timestampMs, CurrentLeaderEpoch: -1, Options.IsolationLevel);
        ListOffsetResponse answer =
            await retry.CallAsync(() => grain.ListOffsetAsync(request), a => a.Error, cancellationToken).ConfigureAwait(false);
        answer.Error.ThrowIfError($"Looking up an offset of {partition}");
        return answer.Offset;
    }

    /// <summary>Waits for the end of transactions that may change the offsets, as long as one operation may take.</summary>
    public Task<CommittedOffset[]> FetchCommittedAsync(TopicPartition[] which, CancellationToken cancellationToken)
    {
        string group = Options.GroupId ?? throw new InvalidOperationException("Committed offsets need a consumer with group.id.");
        return retry.CallAsync(() => grains.GetGroup(group).FetchOffsetsAsync(group, which, requireStable: true), cancellationToken);
    }

    /// <summary>Commits, and returns an error for each offset; retriable ones were retried.</summary>
    public Task<ErrorCode[]> CommitAsync(CommittedOffset[] offsets, CancellationToken cancellationToken)
    {
        string group = Options.GroupId ?? throw new InvalidOperationException("Committing needs a consumer with group.id.");
        MemberIdentity member = Membership?.Identity ?? GroupMessages.NoMember;
        return retry.CallAsync(
            () => grains.GetGroup(group).CommitOffsetsAsync(group, member, offsets),
            errors => errors.FirstOrDefault(e => e.IsRetriable()), cancellationToken);
    }

    public ExponentialBackoff Backoff => new(Options.RetryBackoff, Options.RetryBackoffMax);

    private void Enqueue(PartitionFetcher fetcher)
    {
        lock (_gate)
        {
            if (fetcher.IsQueued || !fetcher.HasBuffered)
                return;

            fetcher.IsQueued = true;
            _ready.Enqueue(fetcher);
        }

        _dataReady.Set();
    }

    private void WakeLoops()
    {
        lock (_gate)
        {
            foreach (FetchLoop loop in _partitions.Values)
                loop.Wake();
        }
    }
}
