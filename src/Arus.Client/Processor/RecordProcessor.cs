using Microsoft.Extensions.Logging;

namespace Arus.Client;

internal sealed partial class RecordProcessor<TKey, TValue> : IRecordProcessor, IRecordSink
{
    /// <summary>How often a processor that reads nothing because too much is pending says that it is alive.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(1);

    private readonly RecordProcessorOptions _options;
    private readonly ConsumerCore _core;
    private readonly GroupSession _session;
    private readonly GroupMembershipFactory _groups;
    private readonly IRecordSerializer<TKey> _keySerializer;
    private readonly IRecordSerializer<TValue> _valueSerializer;
    private readonly RecordHandler<TKey, TValue> _handler;
    private readonly IProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>? _deadLetters;
    private readonly WorkLanes<WorkItem> _lanes = new();
    private readonly AsyncSignal _roomSignal;
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _failed = new();
    private Exception? _failure;
    private PartitionFetcher? _draining;
    private int _pending;
    private int _drained;
    private int _partitionsSeen;
    private int _isStarted;
    private int _isDisposed;

    public RecordProcessor(
        RecordProcessorOptions options, ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics, RecordHandler<TKey,
        TValue> handler,
        IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer,
        IProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>? deadLetters)
    {
        _options = options;
        _core = core;
        _groups = groups;
        _handler = handler;
        _keySerializer = keySerializer;
        _valueSerializer = valueSerializer;
        _deadLetters = deadLetters;
        _roomSignal = new AsyncSignal(core.Time);
        _session = new GroupSession(core, topics) { FinishAsync = FinishAsync };
    }

    int IRecordSink.Room => _options.MaxPending - Volatile.Read(ref _pending);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _isStarted, 1) != 0)
        {
            throw new InvalidOperationException("A processor runs once; make another one.");
        }

        Task[] workers = [.. Enumerable.Range(0, _options.MaxConcurrency).Select(_ => Task.Run(WorkAsync, CancellationToken.None))];
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _failed.Token);
        try
        {
            _session.Subscribe(_groups, _options.Topics);
            _session.Offsets.StartAutoCommit();
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

        if (Volatile.Read(ref _failure) is { } cause)
        {
            throw cause;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            await _failed.CancelAsync().ConfigureAwait(false);
            await _session.DisposeAsync().ConfigureAwait(false);
            _core.Remove(null);
            if (_deadLetters is not null)
            {
                await _deadLetters.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    bool IRecordSink.TryAdd(TopicPartition partition, RecordBatchHeader batch, RecordView record, ReadOnlyMemory<byte> payload)
    {
        var work = (PartitionWork)_draining!.Work!;
        long offset = batch.BaseOffset + record.OffsetDelta;
        long timestamp = batch.TimestampType == TimestampType.LogAppendTime ? batch.MaxTimestamp
            : batch.BaseTimestamp + record.TimestampDelta;
        var raw = new ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>(
            partition, offset, batch.PartitionLeaderEpoch, timestamp, batch.TimestampType,
            record.IsKeyNull ? (ReadOnlyMemory<byte>?)null : payload.Slice(record.KeyOffset, record.KeyLength),
            record.IsValueNull ? (ReadOnlyMemory<byte>?)null : payload.Slice(record.ValueOffset, record.ValueLength),
            new RecordHeaders(payload, record.HeadersOffset, record.HeaderCount));
        Interlocked.Increment(ref _pending);
        _drained++;
        _lanes.Add((work.Id, LaneKey(record, offset)), new WorkItem(work, work.Add(offset), raw));
        return true;
    }

    /// <summary>Two keys of one hash share a lane: they wait for each other, and nothing worse.</summary>
    private ulong LaneKey(RecordView record, long offset) => _options.Order switch
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
            await _session.ThrowIfEndedAsync().ConfigureAwait(false);
            _session.RecordPoll();
            if (((IRecordSink)this).Room <= 0)
            {
                await _roomSignal.WaitAsync(KeepAlive, cancellationToken).ConfigureAwait(false);
                continue;
            }

            _drained = 0;
            if (_core.DrainNext(this, PrepareToDrain, out int version) is { } fetcher)
            {
                fetcher.MarkDelivered(fetcher.Position, version);
                ((PartitionWork)fetcher.Work!).ReadTo(fetcher.Position);
                ClientDiagnostics.RecordConsumed(fetcher.Partition, _drained);
            }
            else if (_core.FirstFailure() is { } e)
            {
                throw e;
            }
            else
            {
                await _core.WaitForDataAsync(KeepAlive, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private void PrepareToDrain(PartitionFetcher fetcher)
    {
        _draining = fetcher;
        var work = fetcher.Work as PartitionWork;
        fetcher.Work = work is { IsCurrent: true } ? work
            : new PartitionWork(fetcher, _partitionsSeen++, work is { IsFinished: true } ? null : work);
    }

    /// <summary>Partitions are to be given up: handlers that run finish, what waits is left to the next owner.</summary>
    private static async ValueTask FinishAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken) =>
        await Task.WhenAll(fetchers.Select(f => (f.Work as PartitionWork)?.CloseAsync() ?? Task.CompletedTask))
            .WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task StopAsync(Task[] workers)
    {
        PartitionFetcher[] fetchers = _core.All();
        foreach (PartitionFetcher fetcher in fetchers)
        {
            fetcher.BeginRevoke();
        }

        Task finished = Task.WhenAll(fetchers.Select(f => (f.Work as PartitionWork)?.CloseAsync() ?? Task.CompletedTask));
        try
        {
            await finished.WaitAsync(_options.ShutdownTimeout, _core.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _core.Logger.LogWarning("Handlers still ran after {Timeout}; their records will come again", _options.ShutdownTimeout);
            await _abort.CancelAsync().ConfigureAwait(false);
        }

        _lanes.Close();
        if (finished.IsCompleted)
        {
            await Task.WhenAll(workers).ConfigureAwait(false);
        }

        await _session.DisposeAsync().ConfigureAwait(false);
        await _session.LeaveAsync("the processor stopped", CancellationToken.None).ConfigureAwait(false);
    }
}
