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
    private Dictionary<long, LinkedListNode<KeyValuePair<long, ProducerState>>>? _producers;

    /// <summary>The same in the order of their last use, so that the limit costs the same however many there are.</summary>
    private LinkedList<KeyValuePair<long, ProducerState>>? _byUse;

    public ProducerStates(int maxProducers = MaxProducers) => _maxProducers = maxProducers;

    public int Count => _producers?.Count ?? 0;

    /// <summary>The one that was silent for longest first.</summary>
    public IEnumerable<KeyValuePair<long, ProducerState>> All => _byUse ?? Enumerable.Empty<KeyValuePair<long, ProducerState>>();

    /// <summary>Judges a batch of a client.</summary>
    /// <param name="duplicate">With <see cref="SequenceVerdict.Duplicate"/>: what the batch was the first time.</param>
    public SequenceVerdict Check(RecordBatchHeader header, out ProducerBatch duplicate, out string? message)
    {
        (duplicate, message) = (default, null);
        long id = header.ProducerId;
        if (Find(id) is not { } state)
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
            Get(header.ProducerId).SetEpoch(header.ProducerEpoch, nowMs);
            return;
        }

        Get(header.ProducerId).Add(
            header.ProducerEpoch,
            new ProducerBatch(
                header.BaseSequence, header.LastSequence, baseOffset, baseOffset + header.LastOffsetDelta, header.MaxTimestamp),
            nowMs);
    }

    public ProducerState? Find(long producerId) =>
        _producers is not null && _producers.TryGetValue(producerId, out LinkedListNode<KeyValuePair<long, ProducerState>>? node) ? node.Value.Value : null;

    /// <summary>Puts a producer's state, which counts as its use, or forgets the producer (null).</summary>
    public void Set(long producerId, ProducerState? state)
    {
        Remove(producerId);
        if (state is not null)
        {
            _producers ??= [];
            _byUse ??= new LinkedList<KeyValuePair<long, ProducerState>>();
            _producers.Add(producerId, _byUse.AddLast(KeyValuePair.Create(producerId, state)));
        }
    }

    public void Clear() => (_producers, _byUse) = (null, null);

    /// <summary>Forgets the producers that last appended before a time (Unix milliseconds); answers how many.</summary>
    public int Expire(long beforeMs)
    {
        if (_byUse is null)
        {
            return 0;
        }

        int expired = 0;
        for (LinkedListNode<KeyValuePair<long, ProducerState>>? node = _byUse.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (node.Value.Value.LastAppendMs < beforeMs)
            {
                Remove(node.Value.Key);
                expired++;
            }
        }

        if (Count == 0)
        {
            Clear();
        }

        return expired;
    }

    private void Remove(long id)
    {
        if (_producers is not null && _producers.Remove(id, out LinkedListNode<KeyValuePair<long, ProducerState>>? node))
        {
            _byUse!.Remove(node);
        }
    }

    private ProducerState Get(long id)
    {
        if (_producers is not null && _producers.TryGetValue(id, out LinkedListNode<KeyValuePair<long, ProducerState>>? node))
        {
            _byUse!.Remove(node);
            _byUse.AddLast(node);
            return node.Value.Value;
        }

        if (Count >= _maxProducers)
        {
            Remove(_byUse!.First!.Value.Key);
        }

        var state = new ProducerState();
        Set(id, state);
        return state;
    }
}
