using ProducerBatch = Arus.Protocol.ProducerSnapshot.Batch;

namespace Arus.Storage;

/// <summary>What a log knows of one producer id: its epoch, its last five batches, oldest first, and its open transaction.</summary>
/// <param name="batches">At most <see cref="BatchesKept"/>; the array becomes the state's own.</param>
internal sealed class ProducerState(
    short epoch = RecordBatchHeader.NoProducerEpoch, long lastAppendMs = 0, ProducerBatch[]? batches = null,
    int coordinatorEpoch = -1, long transactionFirstOffset = -1)
{
    /// <summary>As many requests as an idempotent client has in flight (<c>max.in.flight.requests.per.connection</c>).</summary>
    public const int BatchesKept = 5;

    private bool _isShared;

    public short Epoch { get; private set; } = epoch;

    /// <summary>When the producer last appended here, Unix milliseconds.</summary>
    public long LastAppendMs { get; private set; } = lastAppendMs;

    /// <summary>As a snapshot has them. The next append changes the array in place, unless it is shared.</summary>
    public ProducerBatch[] Batches { get; private set; } = batches ?? [];

    /// <summary>Of the coordinator that ended a transaction here last; -1 while none did.</summary>
    public int CoordinatorEpoch { get; private set; } = coordinatorEpoch;

    /// <summary>Of the open transaction; -1 without one.</summary>
    public long TransactionFirstOffset { get; private set; } = transactionFirstOffset;

    public bool IsInTransaction => TransactionFirstOffset >= 0;

    public int LastSequence => Batches is [.., var last] ? last.LastSequence : RecordBatchHeader.NoSequence;

    public long LastOffset => Batches is [.., var last] ? last.LastOffset : -1;

    /// <summary>Hands out the batches for good: the next append makes a new array, and leaves this one as it is.</summary>
    public ProducerBatch[] Share()
    {
        _isShared = true;
        return Batches;
    }

    public ProducerState Clone() => new(Epoch, LastAppendMs, [.. Batches], CoordinatorEpoch, TransactionFirstOffset);

    public ProducerBatch? FindDuplicate(short epoch, int firstSequence, int lastSequence)
    {
        foreach (ProducerBatch known in epoch == Epoch ? Batches : [])
        {
            if (known.FirstSequence == firstSequence && known.LastSequence == lastSequence)
                return known;
        }

        return null;
    }

    public void Add(short epoch, in ProducerBatch batch, long nowMs)
    {
        SetEpoch(epoch, nowMs);
        bool isFull = Batches.Length == BatchesKept;
        if (isFull && !_isShared)
        {
            Array.Copy(Batches, 1, Batches, 0, BatchesKept - 1);
            Batches[^1] = batch;
        }
        else
        {
            Batches = [.. Batches.AsSpan(isFull ? 1 : 0), batch];
            _isShared = false;
        }
    }

    /// <summary>A batch of a transaction was added.</summary>
    /// <returns>Whether it is the transaction's first.</returns>
    public bool TryBeginTransaction(long firstOffset)
    {
        if (IsInTransaction)
            return false;

        TransactionFirstOffset = firstOffset;
        return true;
    }

    /// <summary>
    /// A transaction marker was added. Batches of the epoch stay known, so that they are recognised if they are sent again.
    /// </summary>
    /// <returns>The first offset of the transaction that it ends; -1 when there was none.</returns>
    public long EndTransaction(short epoch, int coordinatorEpoch, long nowMs)
    {
        SetEpoch(epoch, nowMs);
        CoordinatorEpoch = coordinatorEpoch;
        long first = TransactionFirstOffset;
        TransactionFirstOffset = -1;
        return first;
    }

    private void SetEpoch(short epoch, long nowMs)
    {
        if (epoch != Epoch)
        {
            Epoch = epoch;
            Batches = [];
        }

        LastAppendMs = nowMs;
    }
}
