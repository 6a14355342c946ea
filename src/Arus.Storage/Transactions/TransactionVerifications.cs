namespace Arus.Storage;

/// <summary>
/// Allows to begin a transaction in a log with an append, once its coordinator has said that the log takes part in it. It is void as soon
/// as the producer's transaction ends there, so that an answer of the coordinator which came late opens nothing (KIP-890).
/// </summary>
public sealed class VerificationGuard
{
    internal VerificationGuard(short producerEpoch, int sequence, bool beginsAtZero, long nowMs) =>
        (ProducerEpoch, LowestSequence, BeginsAtZero, BegunMs) = (producerEpoch, sequence, beginsAtZero, nowMs);

    internal short ProducerEpoch { get; set; }

    /// <summary>Of the batches that were to begin the transaction: one behind it has overtaken an earlier one.</summary>
    internal int LowestSequence { get; set; }

    /// <summary>
    /// Whether a producer of which nothing is known has to begin with sequence 0, since every transaction has an epoch of its own
    /// (KIP-890).
    /// </summary>
    internal bool BeginsAtZero { get; }

    internal long BegunMs { get; }
}

/// <summary>The verifications that are under way in a log. Not thread-safe: guarded as the producers are.</summary>
internal sealed class TransactionVerifications(int maxProducers = ProducerStateManager.MaxProducers)
{
    private Dictionary<long, VerificationGuard>? _guards;

    /// <summary>The guard for a batch that is to begin a transaction; the same one until the transaction begins or ends here.</summary>
    public VerificationGuard Begin(long producerId, short producerEpoch, int sequence, bool beginsAtZero, long nowMs)
    {
        _guards ??= [];
        if (!_guards.TryGetValue(producerId, out VerificationGuard? guard))
        {
            if (_guards.Count >= maxProducers)
                _guards.Remove(_guards.First().Key);

            return _guards[producerId] = new VerificationGuard(producerEpoch, sequence, beginsAtZero, nowMs);
        }

        bool isLater = producerEpoch > guard.ProducerEpoch;
        if (isLater || (producerEpoch == guard.ProducerEpoch && sequence < guard.LowestSequence))
            (guard.ProducerEpoch, guard.LowestSequence) = (producerEpoch, sequence);

        return guard;
    }

    public VerificationGuard? Find(long producerId) => _guards?.GetValueOrDefault(producerId);

    /// <summary>The producer's transaction began.</summary>
    public void Remove(long producerId) => _guards?.Remove(producerId);

    /// <summary>
    /// A marker ended a transaction of the producer. From transaction version 2 on it has a later epoch than the transaction: then one of
    /// the epoch that is verified ended the transaction before, for which the verification of the next one usually waits.
    /// </summary>
    public void End(long producerId, short markerEpoch)
    {
        if (Find(producerId) is { } guard && !(guard.BeginsAtZero && markerEpoch <= guard.ProducerEpoch))
            Remove(producerId);
    }

    /// <summary>The log was cut: all are void.</summary>
    public void Clear() => _guards = null;

    public void Expire(long beforeMs)
    {
        foreach ((long id, VerificationGuard guard) in _guards ?? [])
        {
            if (guard.BegunMs < beforeMs)
                _guards!.Remove(id);
        }
    }
}
