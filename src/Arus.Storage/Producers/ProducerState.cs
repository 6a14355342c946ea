namespace Arus.Storage;

/// <summary>One batch of an idempotent producer, as far as duplicates are told by it.</summary>
internal readonly record struct ProducerBatch(int FirstSequence, int LastSequence, long FirstOffset, long LastOffset, long Timestamp);

/// <summary>What a log knows of one producer id: its epoch and its last five batches, oldest first.</summary>
internal sealed class ProducerState
{
    /// <summary>As many requests as an idempotent client has in flight (<c>max.in.flight.requests.per.connection</c>).</summary>
    public const int BatchesKept = 5;

    private ProducerBatch[] _batches = [];

    public short Epoch { get; private set; } = RecordBatchHeader.NoProducerEpoch;

    public int Count { get; private set; }

    /// <summary>When the producer last appended here, Unix milliseconds.</summary>
    public long LastAppendMs { get; private set; }

    public int LastSequence => Count == 0 ? RecordBatchHeader.NoSequence : _batches[Count - 1].LastSequence;

    public long LastOffset => Count == 0 ? -1 : _batches[Count - 1].LastOffset;

    public ReadOnlySpan<ProducerBatch> Batches => _batches.AsSpan(0, Count);

    public ProducerState Clone() => new() { Epoch = Epoch, Count = Count, LastAppendMs = LastAppendMs, _batches = [.. _batches] };

    public bool TryFindDuplicate(short epoch, int firstSequence, int lastSequence, out ProducerBatch batch)
    {
        if (epoch == Epoch)
        {
            foreach (ProducerBatch known in Batches)
            {
                if (known.FirstSequence == firstSequence && known.LastSequence == lastSequence)
                {
                    batch = known;
                    return true;
                }
            }
        }

        batch = default;
        return false;
    }

    public void Add(short epoch, in ProducerBatch batch, long nowMs)
    {
        if (epoch != Epoch)
        {
            Epoch = epoch;
            Count = 0;
        }

        if (Count == BatchesKept)
        {
            Array.Copy(_batches, 1, _batches, 0, --Count);
        }
        else if (Count == _batches.Length)
        {
            Array.Resize(ref _batches, Math.Min(BatchesKept, Math.Max(1, Count * 2)));
        }

        _batches[Count++] = batch;
        LastAppendMs = nowMs;
    }

    /// <summary>An epoch was seen without a batch of records, as with a transaction marker.</summary>
    public void SetEpoch(short epoch, long nowMs)
    {
        if (epoch != Epoch)
        {
            Epoch = epoch;
            Count = 0;
        }

        LastAppendMs = nowMs;
    }
}
