using ProducerBatch = Arus.Protocol.ProducerSnapshot.Batch;

namespace Arus.Storage;

/// <summary>What a log knows of one producer id: its epoch and its last five batches, oldest first.</summary>
/// <param name="batches">At most <see cref="BatchesKept"/>; the array becomes the state's own.</param>
internal sealed class ProducerState(short epoch = RecordBatchHeader.NoProducerEpoch, long lastAppendMs = 0, ProducerBatch[]? batches = null)
{
    /// <summary>As many requests as an idempotent client has in flight (<c>max.in.flight.requests.per.connection</c>).</summary>
    public const int BatchesKept = 5;

    private bool _isShared;

    public short Epoch { get; private set; } = epoch;

    /// <summary>When the producer last appended here, Unix milliseconds.</summary>
    public long LastAppendMs { get; private set; } = lastAppendMs;

    /// <summary>As a snapshot has them. The next append changes the array in place, unless it is shared.</summary>
    public ProducerBatch[] Batches { get; private set; } = batches ?? [];

    public int LastSequence => Batches is [.., var last] ? last.LastSequence : RecordBatchHeader.NoSequence;

    public long LastOffset => Batches is [.., var last] ? last.LastOffset : -1;

    /// <summary>Hands out the batches for good: the next append makes a new array, and leaves this one as it is.</summary>
    public ProducerBatch[] Share()
    {
        _isShared = true;
        return Batches;
    }

    public ProducerState Clone() => new(Epoch, LastAppendMs, [.. Batches]);

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

    /// <summary>An epoch was seen without a batch of records, as with a transaction marker.</summary>
    public void SetEpoch(short epoch, long nowMs)
    {
        if (epoch != Epoch)
        {
            Epoch = epoch;
            Batches = [];
        }

        LastAppendMs = nowMs;
    }
}
