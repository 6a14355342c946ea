using Arus.Compression;

namespace Arus.Client;

/// <summary>The batch that is being handed out, and how far. Not thread-safe.</summary>
internal sealed class OpenBatch
{
    private ReadOnlyMemory<byte> _batch;
    private ReadOnlyMemory<byte> _rest;

    public int RecordsLeft { get; private set; }

    public bool HasMore { get; private set; }

    public ValidationResult Open(ReadOnlyMemory<byte> next)
    {
        _batch = next;
        var header = new RecordBatchHeader(next.Span);
        HasMore = true;
        _rest = ReadOnlyMemory<byte>.Empty;
        RecordsLeft = header.IsControl ? 0 : header.Count;
        if (RecordsLeft == 0)
            return ValidationResult.Ok;

        // What was decompressed lives as long as the records that refer to it, so its buffer does not return to the pool.
        var decompressed = new PooledBufferWriter(header.Compression == CompressionType.None ? 0 : 4 * next.Length);
        return RecordBatchPayload.TryOpen(next, decompressed, out _rest);
    }

    /// <summary>Hands out records from <paramref name="position"/> on, and answers the position after the last one.</summary>
    public long Read(TopicPartition partition, long position, IRecordSink sink, out int leaderEpoch, out ValidationResult problem)
    {
        var header = new RecordBatchHeader(_batch.Span);
        leaderEpoch = header.PartitionLeaderEpoch;
        var reader = new RecordReader(_rest.Span, RecordsLeft);
        int consumed = 0;
        int done = 0;
        while (sink.Room > 0 && reader.TryRead(out RecordView record))
        {
            long offset = header.BaseOffset + record.OffsetDelta;
            if (offset >= position)
            {
                if (!sink.TryAdd(Record(partition, offset, header, record)))
                    break;

                position = offset + 1;
            }

            consumed = reader.Position;
            done++;
        }

        _rest = _rest[consumed..];
        RecordsLeft -= done;
        problem = reader.Problem;
        HasMore = RecordsLeft > 0 && problem.IsOk;

        // Compaction leaves offsets without records at the end of a batch: they are behind us as well.
        return HasMore || !problem.IsOk ? position : Math.Max(position, header.NextOffset);
    }

    private RawRecord Record(TopicPartition partition, long offset, RecordBatchHeader batch, RecordView record) => new(
        partition, offset, batch.PartitionLeaderEpoch,
        batch.TimestampType == TimestampType.LogAppendTime ? batch.MaxTimestamp : batch.BaseTimestamp + record.TimestampDelta,
        batch.TimestampType, record.IsKeyNull ? (ReadOnlyMemory<byte>?)null : _rest.Slice(record.KeyOffset, record.KeyLength),
        record.IsValueNull ? (ReadOnlyMemory<byte>?)null : _rest.Slice(record.ValueOffset, record.ValueLength),
        new RecordHeaders(_rest, record.HeadersOffset, record.HeaderCount));

    /// <summary>Forgets the batch, and answers its size.</summary>
    public int Release()
    {
        int size = _batch.Length;
        _batch = _rest = ReadOnlyMemory<byte>.Empty;
        RecordsLeft = 0;
        HasMore = false;
        return size;
    }
}

/// <summary>Where the records of a poll go.</summary>
internal interface IRecordSink
{
    /// <summary>How many more it takes.</summary>
    int Room { get; }

    /// <summary>Told of a partition before its records come.</summary>
    void Begin(PartitionFetcher fetcher);

    /// <summary>Takes a record; false leaves it for the next poll.</summary>
    bool TryAdd(in RawRecord record);
}
