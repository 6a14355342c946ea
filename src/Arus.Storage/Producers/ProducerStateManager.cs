using System.Diagnostics;
using ProducerBatch = Arus.Protocol.ProducerSnapshot.Batch;
using ProducerNode = System.Collections.Generic.LinkedListNode<
    System.Collections.Generic.KeyValuePair<long, Arus.Storage.ProducerState>>;

namespace Arus.Storage;

/// <summary>
/// The idempotent producers of one log (KIP-98, KIP-360): which batch may come next, and which came before. It covers every batch
/// that was taken in, durable or not. Not thread-safe: the appender's lock guards it.
/// </summary>
/// <param name="basis">Where the state of a producer is copied from that is not known here; it is left as it is.</param>
internal sealed class ProducerStateManager(
    int maxProducers = ProducerStateManager.MaxProducers, ProducerStateManager? basis = null)
{
    /// <summary>Beyond it the producer that was silent for longest is forgotten, as if it had expired.</summary>
    public const int MaxProducers = 100_000;

    /// <summary>Null until it is needed, since most logs have no such producer.</summary>
    private Dictionary<long, ProducerNode>? _producers;

    /// <summary>The same in the order of their last use, so that the limit costs the same however many there are.</summary>
    private LinkedList<KeyValuePair<long, ProducerState>>? _byUse;

    public int Count => _producers?.Count ?? 0;

    /// <summary>The one that was silent for longest first.</summary>
    public IEnumerable<KeyValuePair<long, ProducerState>> All => _byUse ?? Enumerable.Empty<KeyValuePair<long, ProducerState>>();

    public LogProducer[] Describe() => [.. All.Select(producer => new LogProducer(
        producer.Key, producer.Value.Epoch, producer.Value.LastSequence,
        producer.Value.Batches is [.., var last] ? last.Timestamp : -1))];

    /// <summary>
    /// Checks the sequence of a client's batch, and adds the batches of an entry that is to be appended to their producers.
    /// </summary>
    /// <param name="entry">One batch of a client, or whole batches of others.</param>
    /// <param name="baseOffset">What the first batch gets; its bytes may not say so yet.</param>
    /// <returns>The result of an entry that is refused or a duplicate; null when it is to be appended.</returns>
    public LogAppendResult? CheckSequences(ReadOnlySpan<byte> entry, AppendOrigin origin, long baseOffset, long nowMs, bool logAppendTime)
    {
        long offset = baseOffset;
        while (!entry.IsEmpty)
        {
            var header = new RecordBatchHeader(entry);
            entry = entry[header.SizeInBytes..];
            Debug.Assert(origin != AppendOrigin.Client || entry.IsEmpty, "A client's entry is one batch, so that it is taken whole.");
            offset = origin == AppendOrigin.Replica ? header.BaseOffset : offset;
            if (header.HasProducerId)
            {
                if (origin == AppendOrigin.Client && CheckSequence(header, logAppendTime) is { } outcome)
                    return outcome;

                Add(header, offset, nowMs);
            }

            offset += header.LastOffsetDelta + 1;
        }

        return null;
    }

    /// <summary>Adds a batch that was accepted.</summary>
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
            new ProducerBatch
            {
                FirstSequence = header.BaseSequence,
                LastSequence = header.LastSequence,
                FirstOffset = baseOffset,
                LastOffset = baseOffset + header.LastOffsetDelta,
                Timestamp = header.MaxTimestamp,
            },
            nowMs);
    }

    /// <summary>Adds a batch that was read back, if a producer id is in it.</summary>
    public void AddStored(RecordBatchHeader header, long nowMs)
    {
        if (header.HasProducerId)
            Add(header, header.BaseOffset, nowMs);
    }

    public ProducerState? Find(long producerId)
    {
        if (_producers is not null && _producers.TryGetValue(producerId, out ProducerNode? node))
            return node.Value.Value;

        if (basis?.Find(producerId)?.Clone() is not { } copy)
            return null;

        Set(producerId, copy);
        return copy;
    }

    /// <summary>The last offset of every producer: compaction keeps these batches, since they hold the sequences.</summary>
    public IReadOnlySet<long> LastOffsets() => All.Select(pair => pair.Value.LastOffset).ToHashSet();

    /// <summary>Sets a producer's state, which counts as its use, or forgets the producer (null).</summary>
    public void Set(long producerId, ProducerState? state)
    {
        Remove(producerId);
        if (state is not null)
        {
            _byUse ??= new LinkedList<KeyValuePair<long, ProducerState>>();
            (_producers ??= []).Add(producerId, _byUse.AddLast(KeyValuePair.Create(producerId, state)));
        }
    }

    /// <summary>Takes over the state of another one, which is used no more.</summary>
    public void ReplaceWith(ProducerStateManager other) => (_producers, _byUse) = (other._producers, other._byUse);

    /// <summary>Forgets the producers that last appended before a time (Unix milliseconds).</summary>
    /// <returns>How many they were.</returns>
    public int Expire(long beforeMs)
    {
        long[] expired = [.. All.Where(pair => pair.Value.LastAppendMs < beforeMs).Select(pair => pair.Key)];
        Array.ForEach(expired, Remove);
        if (Count == 0)
            (_producers, _byUse) = (null, null);

        return expired.Length;
    }

    private LogAppendResult? CheckSequence(RecordBatchHeader header, bool logAppendTime)
    {
        (long id, short epoch) = (header.ProducerId, header.ProducerEpoch);
        if (Find(id) is not { } state)
        {
            return null; // Its records may have been deleted; any sequence may be the first one (KIP-360).
        }

        if (state.FindDuplicate(epoch, header.BaseSequence, header.LastSequence) is { } duplicate)
            return new LogAppendResult(ErrorCode.None, duplicate.FirstOffset, logAppendTime ? duplicate.Timestamp : -1);

        if (epoch < state.Epoch)
        {
            return LogAppendResult.Refused(
                ErrorCode.InvalidProducerEpoch, $"Producer {id} has epoch {epoch}; a producer with epoch {state.Epoch} wrote here.");
        }

        int expected = epoch != state.Epoch || state.Batches.Length == 0 ? 0 : ProducerSequence.Add(state.LastSequence, 1);
        bool fits = header.BaseSequence == expected || (epoch == state.Epoch && state.Batches.Length == 0);
        return fits
            ? null
            : LogAppendResult.Refused(
                ErrorCode.OutOfOrderSequenceNumber,
                $"Producer {id}, epoch {epoch}, sent sequence {header.BaseSequence}; {expected} comes next.");
    }

    private void Remove(long id)
    {
        if (_producers is not null && _producers.Remove(id, out ProducerNode? node))
            _byUse!.Remove(node);
    }

    private ProducerState Get(long id)
    {
        if (Find(id) is { } known)
        {
            ProducerNode node = _producers![id];
            _byUse!.Remove(node);
            _byUse.AddLast(node);
            return known;
        }

        if (Count >= maxProducers)
            Remove(_byUse!.First!.Value.Key);

        var state = new ProducerState();
        Set(id, state);
        return state;
    }
}
