using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

internal sealed class RecordProcessor<TKey, TValue>(
    RecordProcessorOptions options, ConsumerCore core, GroupMembershipFactory groups, TopicMetadata topics,
    RecordHandler<TKey, TValue> handler, IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer,
    IProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>? deadLetters) : IRecordProcessor, IRecordSink
{
    /// <summary>How often a processor that reads nothing because too much is pending says that it is alive.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(1);

    private readonly GroupSession _session = new(core, topics, groups, CloseAsync);
    private readonly WorkLanes<WorkItem> _lanes = new();
    private readonly AsyncSignal _roomSignal = new(core.Time);
    private readonly CancellationTokenSource _abort = new();
    private readonly CancellationTokenSource _failed = new();
    private Exception? _failure;
    private PartitionFetcher? _draining;
    private int _pending;
    private int _drained;
    private int _partitionsSeen;
    private int _isStarted;
    private int _isDisposed;

    int IRecordSink.Room => options.MaxPending - Volatile.Read(ref _pending);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _isStarted, 1) != 0)
            throw new InvalidOperationException("A processor runs once; make another one.");

        Task[] workers = [.. Enumerable.Range(0, options.MaxConcurrency).Select(_ => Task.Run(WorkAsync, CancellationToken.None))];
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _failed.Token);
        try
        {
            _session.Subscribe(pattern: null, options.Topics);
            await ReadAsync(end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // The caller ended the run, or the failure is thrown below.
        }
        finally
        {
            await StopAsync(workers).ConfigureAwait(false);
        }

        if (Volatile.Read(ref _failure) is { } cause)
            throw cause;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            await _failed.CancelAsync().ConfigureAwait(false);
            await _session.DisposeAsync().ConfigureAwait(false);
            core.Remove(null);
            if (deadLetters is not null)
                await deadLetters.DisposeAsync().ConfigureAwait(false);
        }
    }

    bool IRecordSink.TryAdd(in RawRecord record)
    {
        var work = (PartitionWork)_draining!.Work!;
        Interlocked.Increment(ref _pending);
        _drained++;
        _lanes.Add((work.Id, LaneKey(record)), new WorkItem(work, work.Add(record.Offset), record));
        return true;
    }

    /// <summary>Two keys of one hash share a lane: they wait for each other, and nothing worse.</summary>
    private ulong LaneKey(in RawRecord record) => options.Order switch
    {
        ProcessingOrder.Partition => 0,
        ProcessingOrder.Key when record.Key is { } key => ((ulong)Crc32C.Compute(key.Span) << 32 | (uint)Murmur2.Hash(key.Span)) | 1,
        _ => (ulong)record.Offset << 1,
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
            if (core.DrainNext(this, out int version) is { } fetcher)
            {
                fetcher.MarkDelivered(fetcher.Position, version);
                ((PartitionWork)fetcher.Work!).ReadTo(fetcher.Position);
                ClientDiagnostics.RecordConsumed(fetcher.Partition, _drained);
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

    void IRecordSink.Begin(PartitionFetcher fetcher)
    {
        _draining = fetcher;
        var work = fetcher.Work as PartitionWork;
        fetcher.Work = work is { IsCurrent: true } ? work
            : new PartitionWork(fetcher, _partitionsSeen++, work is { IsFinished: true } ? null : work);
    }

    /// <summary>Waits for the handlers that run on revoked partitions. Pending records are left to the next owner.</summary>
    private static async ValueTask CloseAsync(IReadOnlyList<PartitionFetcher> fetchers, CancellationToken cancellationToken) =>
        await CloseAllAsync(fetchers).WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private static Task CloseAllAsync(IEnumerable<PartitionFetcher> fetchers) =>
        Task.WhenAll(fetchers.Select(f => (f.Work as PartitionWork)?.CloseAsync() ?? Task.CompletedTask));

    private async Task StopAsync(Task[] workers)
    {
        PartitionFetcher[] fetchers = core.All();
        foreach (PartitionFetcher fetcher in fetchers)
            fetcher.BeginRevoke();

        Task finished = CloseAllAsync(fetchers);
        await finished.WaitAsync(options.ShutdownTimeout, core.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!finished.IsCompleted)
        {
            core.Logger.LogWarning("Handlers still ran after {Timeout}; their records will come again", options.ShutdownTimeout);
            await _abort.CancelAsync().ConfigureAwait(false);
        }

        _lanes.Close();
        if (finished.IsCompleted)
            await Task.WhenAll(workers).ConfigureAwait(false);

        await _session.DisposeAsync().ConfigureAwait(false);
        await _session.LeaveAsync("the processor stopped", CancellationToken.None).ConfigureAwait(false);
    }

    private async Task WorkAsync()
    {
        await foreach (WorkLanes<WorkItem>.Lane lane in _lanes.Ready.ReadAllAsync().ConfigureAwait(false))
        {
            WorkItem item = _lanes.First(lane);
            if (_failed.IsCancellationRequested || !item.Partition.TryBegin())
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
                // The first failure is the one that RunAsync throws.
                Interlocked.CompareExchange(ref _failure, e, null);
                await _failed.CancelAsync().ConfigureAwait(false);
            }
            finally
            {
                item.Partition.End(finished ? item.Sequence : null);
            }

            if (retryIn is { } pause)
                _ = RetryLaterAsync(lane, pause);
            else
                Finish(lane);
        }
    }

    private void Finish(WorkLanes<WorkItem>.Lane lane)
    {
        _lanes.Finish(lane);
        Interlocked.Decrement(ref _pending);
        _roomSignal.Set();
    }

    private async Task RetryLaterAsync(WorkLanes<WorkItem>.Lane lane, TimeSpan pause)
    {
        await Task.Delay(pause, core.Time, _failed.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _lanes.Again(lane);
    }

    /// <summary>Null when the record is processed, skipped or dead-lettered; otherwise the pause before the next attempt.</summary>
    private async ValueTask<TimeSpan?> AttemptAsync(RawRecord raw, int attempt)
    {
        using Activity? activity = ClientDiagnostics.StartProcess(raw.Partition, raw.Offset, core.Options.GroupId, raw.Headers);
        long start = core.Time.GetTimestamp();
        try
        {
            await handler(ConsumeResult<TKey, TValue>.Deserialize(raw, keySerializer, valueSerializer), _abort.Token).ConfigureAwait(false);
            ClientDiagnostics.RecordProcessed(raw.Partition, core.Time.GetElapsedTime(start), error: null);
            return null;
        }
        catch (Exception e) when (!(e is OperationCanceledException && _abort.IsCancellationRequested))
        {
            ClientDiagnostics.SetFailed(activity, e);
            ClientDiagnostics.RecordProcessed(raw.Partition, core.Time.GetElapsedTime(start), e.GetType().Name);
            bool mayPass = e is not RecordSerializationException && options.IsRetriable?.Invoke(e) != false;
            if (mayPass && attempt < options.MaxAttempts)
            {
                core.Logger.LogWarning(e, "Attempt {Attempt} at {Partition} offset {Offset} failed", attempt, raw.Partition, raw.Offset);
                return new ExponentialBackoff(options.RetryBackoff, options.RetryBackoffMax).Of(attempt);
            }

            await GiveUpAsync(raw, e, attempt).ConfigureAwait(false);
            return null;
        }
    }

    private async ValueTask GiveUpAsync(RawRecord raw, Exception cause, int attempts)
    {
        core.Logger.LogError(
            cause, "{Partition} offset {Offset} failed after {Attempts} attempts: {Action}", raw.Partition, raw.Offset, attempts,
            options.OnFailure);
        switch (options.OnFailure)
        {
            case FailureAction.Skip:
                return;
            case FailureAction.DeadLetter:
                string topic = options.DeadLetterTopic?.Invoke(raw.Topic) ?? raw.Topic + ".DLT";
                try
                {
                    await deadLetters!.ProduceAsync(
                        DeadLetters.Make(topic, raw, core.Options.GroupId, cause), _abort.Token).ConfigureAwait(false);
                    return;
                }
                catch (ArusException e)
                {
                    throw Failed($"({cause.Message}) and could not go to the topic '{topic}': {e.Message}", e);
                }

            default:
                throw Failed($"after {attempts} attempts: {cause.Message}", cause);
        }

        RecordProcessingException Failed(string how, Exception inner) => new(
            raw.Partition, raw.Offset, $"The record at offset {raw.Offset} of {raw.Partition} failed {how}", inner);
    }

    private readonly record struct WorkItem(PartitionWork Partition, long Sequence, RawRecord Record);
}
