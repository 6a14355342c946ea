using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

internal sealed class RecordProcessor<TKey, TValue> : IRecordProcessor, IRecordSink
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
        fetcher.Work ??= new PartitionWork(fetcher, partitionsSeen++);
    }

    private async Task WorkAsync()
    {
        await foreach (WorkLanes<WorkItem>.Lane lane in lanes.Ready.ReadAllAsync().ConfigureAwait(false))
        {
            WorkItem item = lanes.First(lane);
            if (failed.IsCancellationRequested || !item.Partition.TryBegin())
            {
                Finish(lane);
                continue;
            }

            lane.Attempts++;
            bool finished = false;
            TimeSpan? retryIn = null;
            try
            {
                retryIn = await AttemptAsync(item.Record, lane.Attempts).ConfigureAwait(false);
                finished = retryIn is null;
            }
            catch (Exception e)
            {
                // The first failure is the one that is told.
                Interlocked.CompareExchange(ref failure, e, null);
                await failed.CancelAsync().ConfigureAwait(false);
            }
            finally
            {
                item.Partition.End(finished ? item.Sequence : null);
            }

            if (retryIn is { } pause)
            {
                _ = RetryLaterAsync(lane, pause);
            }
            else
            {
                Finish(lane);
            }
        }
    }

    private void Finish(WorkLanes<WorkItem>.Lane lane)
    {
        lanes.Finish(lane);
        Interlocked.Decrement(ref pending);
        roomSignal.Set();
    }

    private async Task RetryLaterAsync(WorkLanes<WorkItem>.Lane lane, TimeSpan pause)
    {
        await Task.Delay(pause, core.Time, failed.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lanes.Again(lane);
    }

    /// <summary>Null when the record is finished, one way or the other; otherwise how long to wait before it is tried again.</summary>
    private async ValueTask<TimeSpan?> AttemptAsync(ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?> raw, int attempt)
    {
        using Activity? activity = ClientDiagnostics.StartProcess(raw.Partition, raw.Offset, core.Options.GroupId, raw.Headers);
        long start = core.Time.GetTimestamp();
        try
        {
            await handler(Deserialize(raw), abort.Token).ConfigureAwait(false);
            ClientDiagnostics.RecordProcessed(raw.Partition, core.Time.GetElapsedTime(start), error: null);
            return null;
        }
        catch (Exception e) when (!(e is OperationCanceledException && abort.IsCancellationRequested))
        {
            ClientDiagnostics.SetFailed(activity, e);
            ClientDiagnostics.RecordProcessed(raw.Partition, core.Time.GetElapsedTime(start), e.GetType().Name);
            bool mayPass = e is not RecordSerializationException && options.IsRetriable?.Invoke(e) != false;
            if (mayPass && attempt < options.MaxAttempts)
            {
                core.Logger.LogWarning(e, "Attempt {Attempt} at {Partition} offset {Offset} failed", attempt, raw.Partition, raw.Offset);
                return TimeSpan.FromTicks(
                    (long)Math.Min(options.RetryBackoff.Ticks * Math.Pow(2, Math.Min(30, attempt - 1)), options.RetryBackoffMax.Ticks));
            }

            await GiveUpAsync(raw, e, attempt).ConfigureAwait(false);
            return null;
        }
    }

    private async ValueTask GiveUpAsync(ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?> raw, Exception cause, int attempts)
    {
        core.Logger.LogError(
            cause, "{Partition} offset {Offset} failed after {Attempts} attempts: {Action}", raw.Partition, raw.Offset, attempts, options.OnFailure);
        switch (options.OnFailure)
        {
            case FailureAction.Skip:
                return;
            case FailureAction.DeadLetter:
                string topic = options.DeadLetterTopic?.Invoke(raw.Topic) ?? raw.Topic + ".DLT";
                try
                {
                    await deadLetters!.ProduceAsync(DeadLetters.Make(topic, raw, core.Options.GroupId, cause), abort.Token).ConfigureAwait(false);
                    return;
                }
                catch (ArusException e)
                {
                    throw new RecordProcessingException(
                        raw.Partition, raw.Offset,
                        $"The record at offset {raw.Offset} of {raw.Partition} failed ({cause.Message}) and could not be written to its dead-letter topic "
                        + $"'{topic}': {e.Message}", e);
                }

            default:
                throw new RecordProcessingException(
                    raw.Partition, raw.Offset, $"The record at offset {raw.Offset} of {raw.Partition} failed after {attempts} attempts: {cause.Message}", cause);
        }
    }

    private ConsumeResult<TKey, TValue> Deserialize(in ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?> raw)
    {
        try
        {
            return new ConsumeResult<TKey, TValue>(
                raw.Partition, raw.Offset, raw.LeaderEpoch, raw.TimestampMs, raw.TimestampType,
                raw.Key is { } key ? keySerializer.Deserialize(key) : default,
                raw.Value is { } value ? valueSerializer.Deserialize(value) : default,
                raw.Headers);
        }
        catch (Exception e)
        {
            throw new RecordSerializationException(
                $"The record at offset {raw.Offset} of {raw.Partition} could not be deserialized to {typeof(TKey)} and {typeof(TValue)}: {e.Message}", e)
            {
                Partition = raw.Partition,
                Offset = raw.Offset,
            };
        }
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

    private readonly record struct WorkItem(
        PartitionWork Partition, long Sequence, ConsumeResult<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?> Record);
}
