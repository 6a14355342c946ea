namespace Arus.Client;

/// <summary>A batch from its first record to its answer. Guarded by the accumulator that has it.</summary>
internal sealed class ProducerBatch(TopicPartition partition, RecordBatchBuilder builder, long createdAt)
{
    private Memory<byte> bytes;
    private bool isShared;

    public RecordBatchBuilder Builder { get; } = builder;

    public DeliveryOutcome Outcome { get; } = new(partition);

    /// <summary>A timestamp of the producer's clock.</summary>
    public long CreatedAt { get; } = createdAt;

    /// <summary>Bytes of the producer's buffer that the batch holds.</summary>
    public long ReservedBytes { get; set; }

    /// <summary>Set once it has been sent with a sequence, so that a repetition carries the same.</summary>
    public bool HasSequence { get; private set; }

    /// <summary>An attempt was not answered, or answered so that the batch may be on the log.</summary>
    public bool MayHaveBeenAppended { get; set; }

    public int Count => Builder.Count;

    /// <summary>
    /// An attempt was not answered, so the other side may read the memory still: from now on it is neither changed nor used again.
    /// </summary>
    public bool IsShared
    {
        get => isShared;
        set
        {
            isShared = value;
            MayHaveBeenAppended |= value;
        }
    }

    /// <summary>The batch as it is sent, built when it is first asked for.</summary>
    public ReadOnlyMemory<byte> ToBytes(CompressionType compression)
    {
        if (bytes.IsEmpty)
        {
            bytes = Builder.Build(new RecordBatchOptions { Compression = compression });
        }

        return bytes;
    }

    /// <summary>Gives the batch its place in the producer's sequence.</summary>
    public void SetSequence(CompressionType compression, long producerId, short producerEpoch, int sequence)
    {
        ToBytes(compression);
        if (isShared)
        {
            bytes = bytes.ToArray();
        }

        RecordBatches.SetProducer(bytes.Span, producerId, producerEpoch, sequence);
        HasSequence = true;
    }

    /// <summary>The sequence is void: the next attempt gets another.</summary>
    public void ForgetSequence() => HasSequence = false;
}
