using Arus.Grains;

namespace Arus.Client;

/// <summary>What was fetched of one partition and not handed out yet, in offset order. Not thread-safe.</summary>
internal sealed class FetchedBatches
{
    private const int MaxFetches = 2;

    private readonly Queue<ReadOnlyMemory<byte>> _waiting = new();
    private readonly OpenBatch _current = new();
    private int _fetches;
    private int _waitingRecords;

    public bool IsEmpty => !_current.HasMore && _waiting.Count == 0;

    /// <summary>So much is here that fetching more would be of no use yet.</summary>
    public bool IsFull => _fetches >= MaxFetches;

    /// <summary>How many records there are by the batches' headers, which nothing has verified yet.</summary>
    public int Count => _waitingRecords + _current.RecordsLeft;

    /// <summary>Takes in what was fetched, up to the first damaged batch.</summary>
    /// <param name="end">The offset after the last batch taken in; unchanged when there is none.</param>
    /// <param name="problem">What ended it early.</param>
    /// <returns>The bytes taken in.</returns>
    public int Add(PartitionReadResult response, ref long end, out ValidationResult problem)
    {
        int bytes = 0;
        problem = ValidationResult.Ok;
        foreach (ReadOnlyMemory<byte> chunk in response.Records)
        {
            ReadOnlyMemory<byte> rest = chunk;
            while (problem.IsOk
                && RecordBatches.TryReadNext(
                    ref rest, RecordBatches.MaxSizeLimit, out ReadOnlyMemory<byte> batch, out problem) == BatchReadStatus.Batch)
            {
                var header = new RecordBatchHeader(batch.Span);
                _waiting.Enqueue(batch);
                bytes += batch.Length;
                _waitingRecords += header.Count;
                end = header.NextOffset;
            }
        }

        _fetches += bytes > 0 ? 1 : 0;
        return bytes;
    }

    /// <summary>
    /// Hands out records from <paramref name="position"/> on, until the sink is full, none is left, or one cannot be read.
    /// </summary>
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
            if (!_current.HasMore)
            {
                problem = OpenNext(checkCrcs, out bool isOpen);
                if (!isOpen || !problem.IsOk)
                    break;
            }

            position = _current.Read(partition, position, sink, out leaderEpoch, out problem);
            released += _current.HasMore ? 0 : _current.Release();
        }

        _fetches = IsEmpty ? 0 : _fetches;
        return released;
    }

    /// <summary>Forgets everything, and answers the bytes that were held.</summary>
    public int Clear()
    {
        int released = _current.Release();
        foreach (ReadOnlyMemory<byte> batch in _waiting)
            released += batch.Length;

        _waiting.Clear();
        _fetches = 0;
        _waitingRecords = 0;
        return released;
    }

    /// <summary>Opens the next batch; one that is damaged stays where it is.</summary>
    private ValidationResult OpenNext(bool checkCrcs, out bool isOpen)
    {
        isOpen = _waiting.TryPeek(out ReadOnlyMemory<byte> batch);
        ValidationResult valid = isOpen && checkCrcs ? RecordBatches.Validate(batch.Span) : ValidationResult.Ok;
        if (!isOpen || !valid.IsOk)
            return valid;

        _waiting.Dequeue();
        _waitingRecords -= new RecordBatchHeader(batch.Span).Count;
        return _current.Open(batch);
    }
}
