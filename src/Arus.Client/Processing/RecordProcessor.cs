using Microsoft.Extensions.Logging;

namespace Arus.Client;

internal sealed partial class RecordProcessor<TKey, TValue> : IRecordProcessor, IRecordSink
{
    /// <summary>How often a processor that reads nothing because too much is pending says that it is alive.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(1);

    private readonly RecordProcessorOptions options;
    private readonly ConsumerCore core;
    private readonly GroupSession session;
    private readonly GroupMembershipFactory groups;
    private readonly IRecordSerializer<TKey> keySerializer;
    private readonly IRecordSerializer<TValue> valueSerializer;
    private readonly RecordHandler<TKey, TValue> handler;
    private readonly IProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>? deadLetters;
    private readonly WorkLanes<WorkItem> lanes = new();
    private readonly AsyncSignal roomSignal;
    private readonly CancellationTokenSource abort = new();
    private readonly CancellationTokenSource failed = new();
    private Exception? failure;
    private PartitionFetcher? draining;
    private int pending;
    private int drained;
    private int partitionsSeen;
    private int isStarted;
    private int isDisposed;

    public RecordProcessor(
        RecordProcessorOptions options, ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, RecordHandler<TKey, TValue> handler,
        IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer,
        IProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>? deadLetters)
    {
        this.options = options;
        this.core = core;
        this.groups = groups;
        this.handler = handler;
        this.keySerializer = keySerializer;
        this.valueSerializer = valueSerializer;
        this.deadLetters = deadLetters;
        roomSignal = new AsyncSignal(core.Time);
        session = new GroupSession(core, topics) { FinishAsync = FinishAsync };
    }

    int IRecordSink.Room => options.MaxPending - Volatile.Read(ref pending);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref isStarted, 1) != 0)
        {
            throw new InvalidOperationException("A processor runs once; make another one.");
        }

        Task[] workers = [.. Enumerable.Range(0, options.MaxConcurrency).Select(_ => Task.Run(WorkAsync, CancellationToken.None))];
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, failed.Token);
        try
        {
            session.Subscribe(groups, options.Topics);
            session.Offsets.StartAutoCommit();
            await ReadAsync(end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // The end that was asked for, or the failure thrown below.
        }
        finally
        {
            await StopAsync(workers).ConfigureAwait(false);
        }

        if (Volatile.Read(ref failure) is { } cause)
        {
            throw cause;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref isDisposed, 1) == 0)
        {
            await failed.CancelAsync().ConfigureAwait(false);
            await session.DisposeAsync().ConfigureAwait(false);
            core.Remove(null);
            if (deadLetters is not null)
            {
                await deadLetters.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    bool IRecordSink.TryAdd(TopicPartition partition, RecordBatchHeader batch, RecordView record, ReadOnlyMemory<byte> payload)
    {
        var work = (PartitionWork)draining!.Work!;
        long offset = batch.BaseOffset + record.OffsetDelta;
        long timestamp = batch.TimestampType == TimestampType.LogAppendTime ? batch.MaxTimestamp : batch.BaseTimestamp + record.TimestampDelta;
        var raw = new ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>(
            partition, offset, batch.PartitionLeaderEpoch, timestamp, batch.TimestampType,
            record.IsKeyNull ? (ReadOnlyMemory<byte>?)null : payload.Slice(record.KeyOffset, record.KeyLength),
            record.IsValueNull ? (ReadOnlyMemory<byte>?)null : payload.Slice(record.ValueOffset, record.ValueLength),
            new RecordHeaders(payload, record.HeadersOffset, record.HeaderCount));
        Interlocked.Increment(ref pending);
        drained++;
        lanes.Add((work.Id, LaneKey(record, offset)), new WorkItem(work, work.Add(offset), raw));
        return true;
    }

    /// <summary>Two keys of one hash share a lane: they wait for each other, and nothing worse.</summary>
    private ulong LaneKey(RecordView record, long offset) => options.Order switch
    {
        ProcessingOrder.Partition => 0,
        ProcessingOrder.Key when !record.IsKeyNull =>
            ((ulong)Crc32C.Compute(record.Key) << 32 | (uint)Murmur2.Hash(record.Key)) | 1,
        _ => (ulong)offset << 1,
    };

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await session.ThrowIfEndedAsync().ConfigureAwait(false);
            session.RecordPoll();
            if (((IRecordSink)this).Room <= 0)
            {
                await roomSignal.WaitAsync(KeepAlive, cancellationToken).ConfigureAwait(false);
                continue;
            }

            drained = 0;
            if (core.DrainNext(this, PrepareToDrain, out int version) is { } fetcher)
            {
                fetcher.MarkDelivered(fetcher.Position, version);
                ((PartitionWork)fetcher.Work!).ReadTo(fetcher.Position);
                ClientDiagnostics.RecordConsumed(fetcher.Partition, drained);
            }
            else if (core.FirstFailure() is { } e)
            {
                throw e;
            }
            else
            {
                await core.WaitForDataAsync(KeepAlive, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private void PrepareToDrain(PartitionFetcher fetcher)
    {
        draining = fetcher;
        var work = fetcher.Work as PartitionWork;
        fetcher.Work = work is { IsCurrent: true } ? work : new PartitionWork(fetcher, partitionsSeen++, work is { IsFinished: true } ? null : work);
    }

    /// <summary>Partitions are to be given up: handlers that run finish, what waits is left to the next owner.</summary>
    private static async ValueTask FinishAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken) =>
        await Task.WhenAll(fetchers.Select(f => (f.Work as PartitionWork)?.CloseAsync() ?? Task.CompletedTask))
            .WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task StopAsync(Task[] workers)
    {
        PartitionFetcher[] fetchers = core.All();
        foreach (PartitionFetcher fetcher in fetchers)
        {
            fetcher.BeginRevoke();
        }

        Task finished = Task.WhenAll(fetchers.Select(f => (f.Work as PartitionWork)?.CloseAsync() ?? Task.CompletedTask));
        try
        {
            await finished.WaitAsync(options.ShutdownTimeout, core.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            core.Logger.LogWarning("Handlers still ran after {Timeout}; their records will come again", options.ShutdownTimeout);
            await abort.CancelAsync().ConfigureAwait(false);
        }

        lanes.Close();
        if (finished.IsCompleted)
        {
            await Task.WhenAll(workers).ConfigureAwait(false);
        }

        await session.DisposeAsync().ConfigureAwait(false);
        await session.LeaveAsync("the processor stopped", CancellationToken.None).ConfigureAwait(false);
    }
}
