using Arus.Compression;

namespace Arus.Client;

/// <summary>A batch from its first record to its answer. Guarded by the accumulator that has it.</summary>
internal sealed class ProducerBatch(RecordBatchBuilder builder, DeliveryOutcome outcome, long createdAt)
{
    private Memory<byte> bytes;
    private bool isShared;

    public RecordBatchBuilder Builder { get; } = builder;

    public DeliveryOutcome Outcome { get; } = outcome;

    /// <summary>A timestamp of the producer's clock.</summary>
    public long CreatedAt { get; } = createdAt;

    /// <summary>Bytes of the producer's buffer that the batch holds.</summary>
    public long ReservedBytes { get; set; }

    /// <summary>Set once it has been sent with a sequence, so that a repetition carries the same.</summary>
    public bool HasSequence { get; private set; }

    /// <summary>There was an attempt.</summary>
    public bool WasSent { get; set; }

    /// <summary>An attempt was not answered, or answered so that the batch may be on the log.</summary>
    public bool MayHaveBeenAppended { get; set; }

    /// <summary>A part of a batch that may be on the log as a whole: the leader would not recognise the part by its sequence.</summary>
    public bool IsPartOfDoubtful { get; private set; }

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

    /// <summary>The sequence is void, and so nothing of it is on the log: the next attempt gets another.</summary>
    public void ForgetSequence() => HasSequence = IsPartOfDoubtful = false;

    /// <summary>
    /// Two batches of half the size or so, in place of this one, which has two records or more. They share its sequence: to the leader
    /// they are what it would have been, in two steps.
    /// </summary>
    public (ProducerBatch First, ProducerBatch Second) Split(ProducerCore core)
    {
        RecordBatchBuilder first = core.RentBuilder();
        RecordBatchBuilder second = core.RentBuilder();
        ReadOnlySpan<byte> records = Builder.Records;
        var reader = new RecordReader(records, Count);
        while (reader.TryRead(out RecordView record))
        {
            bool isFirst = first.Count == 0 || (second.Count == 0 && reader.Position <= records.Length / 2);
            RecordBatchBuilder target = isFirst ? first : second;
            target.AppendCopy(target.Count, Builder.BaseTimestamp + record.TimestampDelta, record, records);
        }

        (DeliveryOutcome one, DeliveryOutcome other) = Outcome.Split(first.Count);
        long reserved = ReservedBytes / 2;
        return (Part(core, first, one, reserved, skipped: 0), Part(core, second, other, ReservedBytes - reserved, skipped: first.Count));
    }

    private ProducerBatch Part(ProducerCore core, RecordBatchBuilder records, DeliveryOutcome outcomeOfPart, long reserved, int skipped)
    {
        var part = new ProducerBatch(records, outcomeOfPart, CreatedAt)
        {
            ReservedBytes = reserved,
            MayHaveBeenAppended = MayHaveBeenAppended,
            IsPartOfDoubtful = HasSequence && (IsPartOfDoubtful || MayHaveBeenAppended),
        };
        if (HasSequence)
        {
            var header = new RecordBatchHeader(bytes.Span);
            part.SetSequence(
                core.Options.Compression, header.ProducerId, header.ProducerEpoch, ProducerSequence.Add(header.BaseSequence, skipped));
        }

        return part;
    }
}
