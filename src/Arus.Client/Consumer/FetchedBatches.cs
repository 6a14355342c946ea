using Arus.Compression;
using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// What was fetched of one partition and not handed out yet, in offset order: a batch that is being handed out, and those that wait.
/// Not thread-safe.
/// </summary>
internal sealed class FetchedBatches
{
    private const int MaxFetches = 2;

    private readonly Queue<(ReadOnlyMemory<byte> Batch, bool IsAborted)> _waiting = new();
    private int _waitingRecords;
    private int _fetches;
    private ReadOnlyMemory<byte> _open;
    private ReadOnlyMemory<byte> _openRecords;
    private int _openRecordsLeft;
    private bool _isOpen;

    public bool IsEmpty => !_isOpen && _waiting.Count == 0;

    /// <summary>Enough is buffered that a fetch would be of no use yet.</summary>
    public bool IsFull => _fetches >= MaxFetches;

    /// <summary>How many records there are by the batches' headers, which nothing has verified yet.</summary>
    public int Count => _waitingRecords + _openRecordsLeft;

    /// <summary>Takes in what was fetched, up to the first damaged batch.</summary>
    /// <param name="end">The offset after the last batch taken in; unchanged when there is none.</param>
    /// <param name="problem">What ended it early.</param>
    /// <returns>The bytes taken in.</returns>
    public int Add(PartitionReadResult response, ref long end, out ValidationResult problem)
    {
        int bytes = 0;
        problem = ValidationResult.Ok;
        AbortedFilter? aborted = response.Aborted is { Length: > 0 } transactions ? new AbortedFilter(transactions) : null;
        foreach (ReadOnlyMemory<byte> chunk in response.Records)
        {
            ReadOnlyMemory<byte> rest = chunk;
            while (problem.IsOk
                && RecordBatches.TryReadNext(
                    ref rest, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out problem) == BatchReadStatus.Batch)
            {
                var header = new RecordBatchHeader(batch.Span);
                _waiting.Enqueue((batch, aborted is not null && aborted.IsAborted(batch.Span)));
                bytes += batch.Length;
                _waitingRecords += header.Count;
                end = header.NextOffset;
            }
        }

        _fetches += bytes > 0 ? 1 : 0;
        return bytes;
    }

    /// <summary>Hands out records from <paramref name="position"/> on, until the sink is full, none is left, or one is damaged.</summary>
    /// <param name="checkCrcs">Verify each batch before its first record.</param>
    /// <param name="position">Moved behind what was handed out.</param>
    /// <param name="leaderEpoch">Of the last record handed out; unchanged when there is none.</param>
    /// <param name="problem">Why the record at <paramref name="position"/> cannot be read.</param>
    /// <returns>The bytes that are not held any more.</returns>
    public int Read(
        TopicPartition partition, IRecordSink sink, bool checkCrcs, ref long position, ref int leaderEpoch, out ValidationResult problem)
    {
        int released = 0;
        problem = ValidationResult.Ok;
        while (sink.Room > 0 && problem.IsOk)
        {
            if (!_isOpen)
            {
                problem = OpenNext(checkCrcs);
                if (!_isOpen || !problem.IsOk)
                    break;
            }

            leaderEpoch = new RecordBatchHeader(_open.Span).PartitionLeaderEpoch;
            position = ReadOpen(partition, position, sink, out problem);
            released += _isOpen ? 0 : Release();
        }

        _fetches = IsEmpty ? 0 : _fetches;
        return released;
    }

    /// <summary>Drops all batches, and returns the number of bytes that were held.</summary>
    public int Clear()
    {
        int released = Release() + _waiting.Sum(waiting => waiting.Batch.Length);
        _waiting.Clear();
        _fetches = 0;
        _waitingRecords = 0;
        return released;
    }

    /// <summary>Opens the next batch, if there is one; one that is damaged stays where it is.</summary>
    private ValidationResult OpenNext(bool checkCrcs)
    {
        if (!_waiting.TryPeek(out (ReadOnlyMemory<byte> Batch, bool IsAborted) waiting))
            return ValidationResult.Ok;

        ReadOnlyMemory<byte> next = waiting.Batch;
        ValidationResult valid = checkCrcs ? RecordBatches.Validate(next.Span) : ValidationResult.Ok;
        if (!valid.IsOk)
            return valid;

        var header = new RecordBatchHeader(next.Span);
        _open = _waiting.Dequeue().Batch;
        _waitingRecords -= header.Count;
        _isOpen = true;
        _openRecords = ReadOnlyMemory<byte>.Empty;
        _openRecordsLeft = header.IsControl || waiting.IsAborted ? 0 : header.Count;
        if (_openRecordsLeft == 0)
            return ValidationResult.Ok;

        // What was decompressed lives as long as the records that refer to it, so its buffer does not return to the pool.
        var decompressed = new PooledBufferWriter(header.Compression == CompressionType.None ? 0 : 4 * next.Length);
        return RecordBatchPayload.TryOpen(next, decompressed, out _openRecords);
    }

    /// <summary>Hands out records of the open batch, and returns the position after the last one.</summary>
    private long ReadOpen(TopicPartition partition, long position, IRecordSink sink, out ValidationResult problem)
    {
        var header = new RecordBatchHeader(_open.Span);
        var reader = new RecordReader(_openRecords.Span, _openRecordsLeft);
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

        _openRecords = _openRecords[consumed..];
        _openRecordsLeft -= done;
        problem = reader.Problem;
        _isOpen = _openRecordsLeft > 0 && problem.IsOk;

        // Compaction leaves offsets without records at the end of a batch: the position moves past them as well.
        return _isOpen || !problem.IsOk ? position : Math.Max(position, header.NextOffset);
    }

    private RawRecord Record(TopicPartition partition, long offset, RecordBatchHeader batch, RecordView record) => new(
        partition, offset, batch.PartitionLeaderEpoch,
        batch.TimestampType == TimestampType.LogAppendTime ? batch.MaxTimestamp : batch.BaseTimestamp + record.TimestampDelta,
        batch.TimestampType,
        record.IsKeyNull ? (ReadOnlyMemory<byte>?)null : _openRecords.Slice(record.KeyOffset, record.KeyLength),
        record.IsValueNull ? (ReadOnlyMemory<byte>?)null : _openRecords.Slice(record.ValueOffset, record.ValueLength),
        new RecordHeaders(_openRecords, record.HeadersOffset, record.HeaderCount));

    /// <summary>Drops the open batch, and returns its size.</summary>
    private int Release()
    {
        int size = _open.Length;
        _open = _openRecords = ReadOnlyMemory<byte>.Empty;
        _openRecordsLeft = 0;
        _isOpen = false;
        return size;
    }
}

/// <summary>Where the records of a poll go.</summary>
internal interface IRecordSink
{
    /// <summary>How many more it takes.</summary>
    int Room { get; }

    /// <summary>Called before the records of a partition come.</summary>
    void Begin(PartitionFetcher fetcher);

    /// <summary>Takes a record; false leaves it for the next poll.</summary>
    bool TryAdd(in RawRecord record);
}
