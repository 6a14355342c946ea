using Arus.Compression;
using ProducerBatch = Arus.Protocol.ProducerSnapshot.Batch;
using ProducerNode = System.Collections.Generic.LinkedListNode<
    System.Collections.Generic.KeyValuePair<long, Arus.Storage.ProducerState>>;

namespace Arus.Storage;

/// <summary>
/// The idempotent and transactional producers of one log (KIP-98, KIP-360): which batch may come next, which came before, and which
/// transaction is open. It covers every batch that was taken in, durable or not. Not thread-safe: the appender's lock guards it.
/// </summary>
/// <param name="basis">Where the state of a producer is copied from that is not known here; it is left as it is.</param>
internal sealed class ProducerStateManager(
    int maxProducers = ProducerStateManager.MaxProducers, ProducerStateManager? basis = null)
{
    /// <summary>
    /// Beyond it the producer that was silent for longest, and has no transaction open, is forgotten, as if it had expired.
    /// </summary>
    public const int MaxProducers = 100_000;

    /// <summary>Null until it is needed, since most logs have no such producer.</summary>
    private Dictionary<long, ProducerNode>? _producers;

    /// <summary>The same in the order of their last use, so that the limit costs the same however many there are.</summary>
    private LinkedList<KeyValuePair<long, ProducerState>>? _byUse;

    /// <summary>The verifications that are under way.</summary>
    public TransactionVerifications Verifications { get; } = basis?.Verifications ?? new();

    public int Count => _producers?.Count ?? 0;

    /// <summary>The one that was silent for longest first.</summary>
    public IEnumerable<KeyValuePair<long, ProducerState>> All => _byUse ?? Enumerable.Empty<KeyValuePair<long, ProducerState>>();

    public LogProducer[] Describe() => [.. All.Select(producer => new LogProducer(
        producer.Key, producer.Value.Epoch, producer.Value.LastSequence,
        producer.Value.Batches is [.., var last] ? last.Timestamp : -1,
        producer.Value.CoordinatorEpoch, producer.Value.TransactionFirstOffset))];

    /// <summary>Checks a client's batch, or a marker of a coordinator, against what is known of its producer.</summary>
    /// <param name="entry">One batch, unless its origin is a replica.</param>
    /// <param name="logEndOffset">What the entry gets if it is appended.</param>
    /// <returns>The result of an entry that is refused or a duplicate; null when it is to be appended.</returns>
    public LogAppendResult? Check(ReadOnlySpan<byte> entry, PendingAppend append, long logEndOffset, bool logAppendTime)
    {
        var header = new RecordBatchHeader(entry);
        if (!header.HasProducerId || append.Origin == AppendOrigin.Replica)
            return null;

        ProducerState? state = Find(header.ProducerId);
        return append.Origin == AppendOrigin.Client ? ProducerChecks.Batch(header, state, Verifications, append.Guard, logAppendTime)
            : state is not null && ControlRecord.TryReadMarker(entry, out _, out int coordinatorEpoch)
                ? ProducerChecks.Marker(header, state, coordinatorEpoch, append.TransactionVersion, logEndOffset)
            : null;
    }

    /// <summary>Adds a batch that is appended, or read back.</summary>
    /// <param name="batch">Of a batch without control records the header is enough.</param>
    /// <param name="baseOffset">What the batch gets.</param>
    public TransactionStep Add(ReadOnlySpan<byte> batch, long baseOffset, long nowMs)
    {
        var header = new RecordBatchHeader(batch);
        return !header.HasProducerId ? default : header.IsControl ? AddMarker(header, batch, nowMs) : AddBatch(header, baseOffset, nowMs);
    }

    /// <summary>Adds a batch that was read back.</summary>
    public TransactionStep AddStored(ReadOnlySpan<byte> batch, long nowMs) => Add(batch, new RecordBatchHeader(batch).BaseOffset, nowMs);

    /// <summary>Whether a producer of this epoch, or of a later one, has a transaction open, or may not begin one.</summary>
    public bool NeedsNoVerification(long producerId, short producerEpoch) =>
        Find(producerId) is { } state && (state.Epoch > producerEpoch || (state.Epoch == producerEpoch && state.IsInTransaction));

    public ProducerState? Find(long producerId)
    {
        if (_producers is not null && _producers.TryGetValue(producerId, out ProducerNode? node))
            return node.Value.Value;

        if (basis?.Find(producerId)?.Clone() is not { } copy)
            return null;

        Set(producerId, copy);
        return copy;
    }

    /// <summary>What compaction keeps for the producers' sake.</summary>
    public LastOfProducers Last() => new(
        All.Select(pair => pair.Value.LastOffset).ToHashSet(),
        All.Where(pair => pair.Value.LastOffset < 0).ToDictionary(pair => pair.Key, pair => pair.Value.Epoch));

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
    public void ReplaceWith(ProducerStateManager other)
    {
        (_producers, _byUse) = (other._producers, other._byUse);
        Verifications.Clear();
    }

    /// <summary>
    /// Forgets the producers that last appended before a time (Unix milliseconds), except those with an open transaction.
    /// </summary>
    /// <returns>How many they were.</returns>
    public int Expire(long beforeMs)
    {
        long[] expired =
            [.. All.Where(pair => pair.Value.LastAppendMs < beforeMs && !pair.Value.IsInTransaction).Select(pair => pair.Key)];
        Array.ForEach(expired, Remove);
        if (Count == 0)
            (_producers, _byUse) = (null, null);

        Verifications.Expire(beforeMs);
        return expired.Length;
    }

    private TransactionStep AddBatch(RecordBatchHeader header, long baseOffset, long nowMs)
    {
        ProducerState state = Get(header.ProducerId);
        state.Add(
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
        if (!header.IsTransactional || !state.TryBeginTransaction(baseOffset))
            return default;

        // What is only tried changes nothing of the basis.
        if (basis is null)
            Verifications.Remove(header.ProducerId);

        return new TransactionStep(TransactionStepKind.Begins, header.ProducerId, baseOffset);
    }

    /// <summary>One that compaction has emptied says nothing: its whole transaction is gone.</summary>
    private TransactionStep AddMarker(RecordBatchHeader header, ReadOnlySpan<byte> batch, long nowMs)
    {
        if (!ControlRecord.TryReadMarker(batch, out ControlRecordType type, out int coordinatorEpoch))
            return default;

        if (basis is null)
            Verifications.End(header.ProducerId, header.ProducerEpoch);

        long first = Get(header.ProducerId).EndTransaction(header.ProducerEpoch, coordinatorEpoch, nowMs);
        TransactionStepKind kind = type == ControlRecordType.Commit ? TransactionStepKind.Commits : TransactionStepKind.Aborts;
        return first < 0 ? default : new TransactionStep(kind, header.ProducerId, first);
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

        if (Count >= maxProducers && All.FirstOrDefault(pair => !pair.Value.IsInTransaction) is { Value: not null } silent)
            Remove(silent.Key);

        var state = new ProducerState();
        Set(id, state);
        return state;
    }
}

/// <summary>What compaction keeps of producers although no record of it is kept.</summary>
/// <param name="Offsets">The last offsets of their last batches, which hold the sequences.</param>
/// <param name="Markers">Of producers of whom only a marker is known: the epoch, which only the marker holds.</param>
internal sealed record LastOfProducers(IReadOnlySet<long> Offsets, IReadOnlyDictionary<long, short> Markers);
