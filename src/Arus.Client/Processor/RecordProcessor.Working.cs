using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <content>What the workers do with a record: they call the handler, retry, and skip or dead-letter what fails for good.</content>
internal sealed partial class RecordProcessor<TKey, TValue>
{
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
                    throw new RecordProcessingException(
                        raw.Partition, raw.Offset,
                        $"The record at offset {raw.Offset} of {raw.Partition} failed ({cause.Message}) and could not go to the topic "
                        + $"'{topic}': {e.Message}", e);
                }

            default:
                throw new RecordProcessingException(
                    raw.Partition, raw.Offset,
                    $"The record at offset {raw.Offset} of {raw.Partition} failed after {attempts} attempts: {cause.Message}", cause);
        }
    }

    private readonly record struct WorkItem(PartitionWork Partition, long Sequence, RawRecord Record);
}
