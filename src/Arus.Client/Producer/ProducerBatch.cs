using Arus.Compression;

namespace Arus.Client;

/// <summary>A batch from its first record to its answer. Guarded by the accumulator that has it.</summary>
internal sealed class ProducerBatch(RecordBatchBuilder builder, DeliveryOutcome outcome, long createdAt, bool isTransactional = false)
{
    private Memory<byte> _bytes;
    private bool _isMemoryShared;

    public RecordBatchBuilder Builder { get; } = builder;

    public DeliveryOutcome Outcome { get; } = outcome;

    /// <summary>A timestamp of the producer's clock.</summary>
    public long CreatedAt { get; } = createdAt;

    /// <summary>Bytes of the producer's buffer that the batch holds.</summary>
    public long ReservedBytes { get; set; }

    /// <summary>Set once it has been sent with a sequence, so that a repetition carries the same.</summary>
    public bool HasSequence { get; private set; }

    public BatchState State { get; private set; }

    public bool MayHaveBeenAppended => State >= BatchState.InDoubt;

    public int Count => Builder.Count;

    /// <summary>The memory of the batch can be used again.</summary>
    public bool IsMemoryFree => !_isMemoryShared;

    public void MarkSent() => State = State == BatchState.Unsent ? BatchState.Sent : State;

    public void MarkInDoubt() => State = State == BatchState.PartInDoubt ? BatchState.PartInDoubt : BatchState.InDoubt;

    /// <summary>
    /// An attempt was not answered: the batch may be on the log, and the other side may read the memory still, so that from now on it is
    /// neither changed nor used again.
    /// </summary>
    public void MarkUnanswered()
    {
        _isMemoryShared = true;
        MarkInDoubt();
    }

    /// <summary>The batch as it is sent, built at its first use.</summary>
    public ReadOnlyMemory<byte> ToBytes(CompressionType compression)
    {
        if (_bytes.IsEmpty)
            _bytes = Builder.Build(new RecordBatchOptions { Compression = compression, IsTransactional = isTransactional });

        return _bytes;
    }

    /// <summary>Gives the batch its place in the producer's sequence.</summary>
    public void SetSequence(CompressionType compression, long producerId, short producerEpoch, int sequence)
    {
        ToBytes(compression);
        if (_isMemoryShared)
            _bytes = _bytes.ToArray();

        RecordBatches.SetProducer(_bytes.Span, producerId, producerEpoch, sequence);
        HasSequence = true;
    }

    /// <summary>The sequence is void, and so nothing of it is on the log: the next attempt gets another.</summary>
    public void ForgetSequence()
    {
        HasSequence = false;
        State = State == BatchState.PartInDoubt ? BatchState.InDoubt : State;
    }

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
        var part = new ProducerBatch(records, outcomeOfPart, CreatedAt, isTransactional)
        {
            ReservedBytes = reserved,
            State = !MayHaveBeenAppended ? BatchState.Unsent : HasSequence ? BatchState.PartInDoubt : BatchState.InDoubt,
        };
        if (HasSequence)
        {
            var header = new RecordBatchHeader(_bytes.Span);
            part.SetSequence(
                core.Options.Compression, header.ProducerId, header.ProducerEpoch, ProducerSequence.Add(header.BaseSequence, skipped));
        }

        return part;
    }
}

/// <summary>What the producer knows of a batch's way to the log.</summary>
internal enum BatchState : byte
{
    /// <summary>There was no attempt.</summary>
    Unsent = 0,

    /// <summary>It was sent, and nothing says that it may be on the log.</summary>
    Sent = 1,

    /// <summary>An attempt was not answered, or answered so that the batch may be on the log.</summary>
    InDoubt = 2,

    /// <summary>A part of a batch that is in doubt as a whole: the leader would not recognise the part by its sequence number.</summary>
    PartInDoubt = 3,
}
