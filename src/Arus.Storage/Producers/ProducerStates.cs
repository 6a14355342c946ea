namespace Arus.Storage;

internal enum SequenceVerdict
{
    Accept = 0,
    Duplicate = 1,
    InvalidEpoch = 2,
    OutOfOrder = 3,
}

/// <summary>
/// The idempotent producers of one log (KIP-98, KIP-360): which batch may come next, and which came before. It covers every batch
/// that was taken in, durable or not. Guarded by the log's append lock.
/// </summary>
internal sealed class ProducerStates
{
    /// <summary>Beyond it the producer that was silent for longest is forgotten, as if it had expired.</summary>
    public const int MaxProducers = 100_000;

    private readonly int _maxProducers;
    private Dictionary<long, ProducerState>? _producers;

    public ProducerStates(int maxProducers = MaxProducers) => _maxProducers = maxProducers;

    public int Count => _producers?.Count ?? 0;

    public IEnumerable<KeyValuePair<long, ProducerState>> All => _producers ?? Enumerable.Empty<KeyValuePair<long, ProducerState>>();

    /// <summary>Judges a batch of a client.</summary>
    /// <param name="duplicate">With <see cref="SequenceVerdict.Duplicate"/>: what the batch was the first time.</param>
    public SequenceVerdict Check(RecordBatchHeader header, out ProducerBatch duplicate, out string? message)
    {
        (duplicate, message) = (default, null);
        long id = header.ProducerId;
        if (_producers is null || !_producers.TryGetValue(id, out ProducerState? state))
        {
            // Its records may have been deleted; any sequence may be the first one (KIP-360).
            return SequenceVerdict.Accept;
        }

        short epoch = header.ProducerEpoch;
        if (state.TryFindDuplicate(epoch, header.BaseSequence, header.LastSequence, out duplicate))
        {
            return SequenceVerdict.Duplicate;
        }

        if (epoch < state.Epoch)
        {
            message = $"Producer {id} has epoch {epoch}; a producer with epoch {state.Epoch} wrote here.";
            return SequenceVerdict.InvalidEpoch;
        }

        int expected = epoch != state.Epoch || state.Count == 0 ? 0 : ProducerSequence.Add(state.LastSequence, 1);
        bool fits = header.BaseSequence == expected || (epoch == state.Epoch && state.Count == 0);
        if (!fits)
        {
            message = $"Producer {id}, epoch {epoch}, sent sequence {header.BaseSequence}; {expected} comes next.";
            return SequenceVerdict.OutOfOrder;
        }

        return SequenceVerdict.Accept;
    }

    /// <summary>Takes note of a batch that was accepted, or read back.</summary>
    /// <param name="baseOffset">What the batch gets; its bytes may not say so yet.</param>
    public void Add(RecordBatchHeader header, long baseOffset, long nowMs)
    {
        if (header.IsControl)
        {
            Get(header.ProducerId, nowMs).SetEpoch(header.ProducerEpoch, nowMs);
            return;
        }

        Get(header.ProducerId, nowMs).Add(
            header.ProducerEpoch,
            new ProducerBatch(
                header.BaseSequence, header.LastSequence, baseOffset, baseOffset + header.LastOffsetDelta, header.MaxTimestamp),
            nowMs);
    }

    public ProducerState? Find(long producerId) => _producers?.GetValueOrDefault(producerId);

    public void Set(long producerId, ProducerState? state)
    {
        _producers ??= [];
        if (state is null)
        {
            _producers.Remove(producerId);
        }
        else
        {
            _producers[producerId] = state;
        }
    }

    public void Clear() => _producers = null;

    /// <summary>Forgets the producers that last appended before a time (Unix milliseconds); answers how many.</summary>
    public int Expire(long beforeMs)
    {
        if (_producers is null)
        {
            return 0;
        }

        int expired = 0;
        foreach ((long id, ProducerState state) in _producers)
        {
            if (state.LastAppendMs < beforeMs)
            {
                _producers.Remove(id);
                expired++;
            }
        }

        if (_producers.Count == 0)
        {
            _producers = null;
        }

        return expired;
    }

    private ProducerState Get(long id, long nowMs)
    {
        _producers ??= [];
        if (!_producers.TryGetValue(id, out ProducerState? state))
        {
            if (_producers.Count >= _maxProducers)
            {
                _producers.Remove(_producers.MinBy(pair => pair.Value.LastAppendMs).Key);
            }

            _producers.Add(id, state = new ProducerState());
        }

        return state;
    }
}
