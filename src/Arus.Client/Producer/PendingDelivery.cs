namespace Arus.Client;

/// <summary>The delivery of an enqueued record, to be awaited or dropped. Allocation-free: a batch's records share one outcome.</summary>
public readonly struct PendingDelivery
{
    private readonly DeliveryOutcome _outcome;
    private readonly int _index;
    private readonly long _timestampMs;

    internal PendingDelivery(DeliveryOutcome outcome, int index, long timestampMs)
    {
        _outcome = outcome;
        _index = index;
        _timestampMs = timestampMs;
    }

    /// <summary>Where the record goes.</summary>
    public TopicPartition Partition => _outcome.Partition;

    /// <summary>Whether the answer is there.</summary>
    public bool IsCompleted => _outcome.Completion.IsCompleted;

    /// <summary>Completes, always in success, when the record's batch is delivered or has failed.</summary>
    public Task BatchCompletion => _outcome.Completion;

    /// <summary>Where the record is.</summary>
    /// <param name="cancellationToken">Ends the wait, not the delivery.</param>
    /// <exception cref="ProduceException">It was not delivered, or that is not known; in the task, never thrown by the call.</exception>
    public ValueTask<DeliveryResult> GetResultAsync(CancellationToken cancellationToken = default)
    {
        if (!_outcome.Completion.IsCompleted)
            return WaitAsync(cancellationToken);

        try
        {
            return new ValueTask<DeliveryResult>(_outcome.Result(_index, _timestampMs));
        }
        catch (ProduceException e)
        {
            return ValueTask.FromException<DeliveryResult>(e);
        }
    }

    private async ValueTask<DeliveryResult> WaitAsync(CancellationToken cancellationToken)
    {
        await _outcome.Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
        return _outcome.Result(_index, _timestampMs);
    }
}
