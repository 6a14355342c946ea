using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Arus.Grains;

namespace Arus.Client;

internal sealed class Consumer<TKey, TValue> : IConsumer<TKey, TValue>, IRecordSink
{
    private readonly ConsumerCore core;
    private readonly GroupSession session;
    private readonly GroupMembershipFactory groups;
    private readonly IRecordSerializer<TKey> keySerializer;
    private readonly IRecordSerializer<TValue> valueSerializer;
    private readonly List<PartitionFetcher> touched = [];
    private readonly Action<PartitionFetcher> makeRoom;
    private List<ConsumeResult<TKey, TValue>> records = [];
    private RecordSerializationException? unreadable;
    private int room;
    private int isPolling;
    private bool isAssignedByHand;
    private volatile bool isDisposed;

    public Consumer(
        ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, IRecordSerializer<TKey> keySerializer,
        IRecordSerializer<TValue> valueSerializer)
    {
        this.core = core;
        this.groups = groups;
        this.keySerializer = keySerializer;
        this.valueSerializer = valueSerializer;
        session = new GroupSession(core, topics);
        makeRoom = MakeRoom;
    }

    public IReadOnlyList<TopicPartition> Assignment => core.Assignment;

    public string MemberId => session.Membership?.Identity.MemberId ?? "";

    int IRecordSink.Room => unreadable is null ? room - records.Count : 0;

    public void Subscribe(params IReadOnlyCollection<string> topics)
    {
        CheckMaySubscribe();
        foreach (string topic in topics)
        {
            ValidationResult name = TopicName.Validate(topic);
            if (!name.IsOk)
            {
                throw new ArusException(name.Error, name.Message!);
            }
        }

        session.Subscribe(groups, topics);
        session.Offsets.StartAutoCommit();
    }

    public void Subscribe(Regex pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        CheckMaySubscribe();
        session.Subscribe(groups, pattern);
        session.Offsets.StartAutoCommit();
    }

    public async Task UnsubscribeAsync(CancellationToken cancellationToken = default)
    {
        MarkProcessed();
        await session.LeaveAsync("the consumer unsubscribed", cancellationToken).ConfigureAwait(false);
    }

    public void Assign(params IReadOnlyCollection<TopicPartitionOffset> partitions)
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (session.Membership is not null)
        {
            throw new InvalidOperationException("There is a subscription; a consumer either assigns or subscribes.");
        }

        isAssignedByHand = true;
        core.Remove(null);
        core.Add(partitions);
        session.Offsets.StartAutoCommit();
    }

    public async ValueTask<IReadOnlyList<ConsumeResult<TKey, TValue>>> PollAsync(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        EnterPoll();
        try
        {
            MarkProcessed();
            List<ConsumeResult<TKey, TValue>> result = await ReadAsync(timeout, null, cancellationToken).ConfigureAwait(false);
            records = [];
            return result;
        }
        finally
        {
            Volatile.Write(ref isPolling, 0);
        }
    }

    public async IAsyncEnumerable<ConsumeResult<TKey, TValue>> ConsumeAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
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
                List<ConsumeResult<TKey, TValue>> batch = await ReadAsync(Timeout.InfiniteTimeSpan, runs, cancellationToken).ConfigureAwait(false);
                int next = given = 0;
                foreach (Run run in runs)
                {
                    for (; next < run.End && run.Fetcher.TryDeliver(batch[next].Offset, run.Version); next++)
                    {
                        given = next + 1;
                        yield return batch[next];
                        session.RecordLife();
                        if (cancellationToken.IsCancellationRequested)
                        {
                            run.Fetcher.MarkProcessed();
                            throw new OperationCanceledException(cancellationToken);
                        }
                    }

                    run.Fetcher.MarkProcessed();
                    if (next == run.End)
                    {
                        run.Fetcher.MarkDelivered(run.Position, run.Version);
                    }

                    session.RecordPoll();
                    next = run.End;
                }

                batch.Clear();
            }
        }
        finally
        {
            TakeBack(runs, given);
            Volatile.Write(ref isPolling, 0);
        }
    }

    public void Seek(TopicPartition partition, long offset)
    {
        if (offset is < 0 and not (TopicPartitionOffset.Beginning or TopicPartitionOffset.End or TopicPartitionOffset.Stored))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, "An offset is 0 or more, or one of the constants of TopicPartitionOffset.");
        }

        core.Seek(partition, offset);
    }

    public void Pause(params IReadOnlyCollection<TopicPartition> partitions) => core.SetPaused(partitions, paused: true);

    public void Resume(params IReadOnlyCollection<TopicPartition> partitions) => core.SetPaused(partitions, paused: false);

    public long? Position(TopicPartition partition) => core.Get(partition).Delivered is >= 0 and var position ? position : null;

    public long? Lag(TopicPartition partition) => core.Get(partition).Lag;

    public async Task<IReadOnlyList<TopicPartitionOffset>> OffsetsForTimeAsync(
        IReadOnlyCollection<TopicPartition> partitions, DateTimeOffset time, CancellationToken cancellationToken = default)
    {
        long timestamp = Math.Max(0, time.ToUnixTimeMilliseconds());
        return await Task.WhenAll(partitions.Select(async partition =>
            new TopicPartitionOffset(partition, await core.OffsetForTimeAsync(partition, timestamp, cancellationToken).ConfigureAwait(false))))
            .ConfigureAwait(false);
    }

    public Task CommitAsync(CancellationToken cancellationToken = default) => session.Offsets.CommitAsync(
        [.. core.All().Where(f => f.Delivered >= 0 && f.Delivered != f.Committed)
            .Select(f => new CommittedOffset(f.Partition, f.Delivered, f.LeaderEpoch, ""))],
        cancellationToken);

    public Task CommitAsync(IReadOnlyCollection<TopicPartitionOffset> offsets, CancellationToken cancellationToken = default)
    {
        TopicPartitionOffset wrong = offsets.FirstOrDefault(o => o.Offset < 0);
        return wrong.Partition.Topic is null
            ? session.Offsets.CommitAsync([.. offsets.Select(o => new CommittedOffset(o.Partition, o.Offset, LeaderEpoch: -1, ""))], cancellationToken)
            : throw new ArgumentException($"The offset to commit of {wrong.Partition} is {wrong.Offset}; it must be 0 or more.", nameof(offsets));
    }

    public async Task<IReadOnlyList<CommittedOffset>> CommittedAsync(
        IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default) =>
        await core.FetchCommittedAsync([.. partitions], cancellationToken).ConfigureAwait(false);

    /// <summary>Commits what is processed, where auto-commit is on, and leaves the group.</summary>
    public async ValueTask DisposeAsync()
    {
        if (isDisposed)
        {
            return;
        }

        isDisposed = true;
        await session.DisposeAsync().ConfigureAwait(false);
        try
        {
            if (session.Membership is not null)
            {
                await session.LeaveAsync("the consumer was closed", CancellationToken.None).ConfigureAwait(false);
            }
            else if (core.Options is { EnableAutoCommit: true, GroupId: not null })
            {
                await session.Offsets.CommitProcessedAsync(core.All(), CancellationToken.None).ConfigureAwait(false);
            }
        }
        finally
        {
            core.Remove(null);
        }
    }

    bool IRecordSink.TryAdd(TopicPartition partition, RecordBatchHeader batch, RecordView record, ReadOnlyMemory<byte> payload)
    {
        long offset = batch.BaseOffset + record.OffsetDelta;
        try
        {
            TKey? key = record.IsKeyNull ? default : keySerializer.Deserialize(payload.Slice(record.KeyOffset, record.KeyLength));
            TValue? value = record.IsValueNull ? default : valueSerializer.Deserialize(payload.Slice(record.ValueOffset, record.ValueLength));
            long timestamp = batch.TimestampType == TimestampType.LogAppendTime ? batch.MaxTimestamp : batch.BaseTimestamp + record.TimestampDelta;
            records.Add(new ConsumeResult<TKey, TValue>(
                partition, offset, batch.PartitionLeaderEpoch, timestamp, batch.TimestampType, key, value,
                new RecordHeaders(payload, record.HeadersOffset, record.HeaderCount)));
            return true;
        }
        catch (Exception e)
        {
            if (records.Count > 0)
            {
                // Those before it first; this one is the first of the next poll.
                room = records.Count;
                return false;
            }

            unreadable = new RecordSerializationException(
                $"The record at offset {offset} of {partition} could not be deserialized to {typeof(TKey)} and {typeof(TValue)}: {e.Message}", e)
            {
                Partition = partition,
                Offset = offset,
            };
            return true;
        }
    }

    /// <summary>Whoever leaves an enumeration is given the rest of its records by the next poll.</summary>
    private void TakeBack(List<Run> runs, int given)
    {
        int start = 0;
        foreach (Run run in runs)
        {
            int first = Math.Max(start, given);
            if (first < run.End && first < records.Count)
            {
                core.TakeBack(run.Fetcher, records[first].Offset, run.Version);
            }

            start = run.End;
        }

        records.Clear();
    }

    private void CheckMaySubscribe()
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (core.Options.GroupId is null)
        {
            throw new InvalidOperationException("Subscribing needs a consumer with group.id; without one, use Assign.");
        }

        if (isAssignedByHand)
        {
            throw new InvalidOperationException("Partitions were assigned by hand; a consumer either assigns or subscribes.");
        }
    }

    private void EnterPoll()
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (Interlocked.Exchange(ref isPolling, 1) != 0)
        {
            throw new InvalidOperationException("A consumer is polled by one thread at a time, and another poll or enumeration is under way.");
        }
    }

    private void MarkProcessed()
    {
        foreach (PartitionFetcher fetcher in touched)
        {
            fetcher.MarkProcessed();
        }

        touched.Clear();
        session.RecordPoll();
    }

    private async ValueTask<List<ConsumeResult<TKey, TValue>>> ReadAsync(TimeSpan timeout, List<Run>? runs, CancellationToken cancellationToken)
    {
        long start = core.Time.GetTimestamp();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ObjectDisposedException.ThrowIf(isDisposed, this);
            await session.ThrowIfEndedAsync().ConfigureAwait(false);
            Drain(runs);
            if (records.Count > 0)
            {
                return records;
            }

            if (unreadable is { } e)
            {
                unreadable = null;
                throw e;
            }

            if (core.FirstFailure() is { } failure)
            {
                throw failure;
            }

            TimeSpan left = timeout == Timeout.InfiniteTimeSpan ? timeout : timeout - core.Time.GetElapsedTime(start);
            if (timeout != Timeout.InfiniteTimeSpan && left <= TimeSpan.Zero)
            {
                return records;
            }

            // Waiting is polling: a quiet topic is no reason to lose one's partitions.
            TimeSpan alive = core.Options.MaxPollInterval / 3;
            await core.WaitForDataAsync(left == Timeout.InfiniteTimeSpan || left > alive ? alive : left, cancellationToken).ConfigureAwait(false);
            session.RecordPoll();
        }
    }

    private void Drain(List<Run>? runs)
    {
        room = core.Options.MaxPollRecords;
        int before = 0;
        while (((IRecordSink)this).Room > 0 && core.DrainNext(this, makeRoom, out int version) is { } fetcher)
        {
            long position = fetcher.Position;
            touched.Add(fetcher);
            ClientDiagnostics.RecordConsumed(fetcher.Partition, records.Count - before);
            if (runs is null || records.Count == before)
            {
                fetcher.MarkDelivered(position, version);
            }
            else
            {
                runs.Add(new Run(fetcher, version, records.Count, position));
            }

            before = records.Count;
        }
    }

    /// <summary>The list is the application's for good, so it is made as large as it will be, and no larger.</summary>
    private void MakeRoom(PartitionFetcher fetcher)
    {
        int wanted = Math.Min(room, records.Count + fetcher.BufferedRecords);
        if (wanted > records.Capacity)
        {
            records.Capacity = wanted;
        }
    }

    /// <summary>Records that follow each other in a poll and are of one partition.</summary>
    /// <param name="End">The index after the last.</param>
    /// <param name="Position">The partition's position after the last.</param>
    private readonly record struct Run(PartitionFetcher Fetcher, int Version, int End, long Position);
}
