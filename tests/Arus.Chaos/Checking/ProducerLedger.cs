namespace Arus.Chaos;

/// <summary>What one producer sent to each partition, and what became of it. Thread-safe.</summary>
/// <param name="client">The kind of client, as reports name it.</param>
/// <param name="isIdempotent">Whether the client promises that retries neither double nor reorder.</param>
internal sealed class ProducerLedger(ushort id, string client, bool isIdempotent, int partitions)
{
    /// <summary>Outcomes that are no offset.</summary>
    public const long Pending = -1;
    public const long Failed = -2;
    public const long AcknowledgedSomewhere = -3;

    private readonly List<long>[] _outcomes = [.. Enumerable.Range(0, partitions).Select(_ => new List<long>())];
    private long _sent;
    private long _acknowledged;
    private long _failed;

    public ushort Id => id;

    public string Client => client;

    public bool IsIdempotent => isIdempotent;

    public long Sent => Interlocked.Read(ref _sent);

    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>Records for which the client gave up. They may be in the log all the same.</summary>
    public long FailedCount => Interlocked.Read(ref _failed);

    /// <summary>The next record for a partition. It is in the log or not until it is acknowledged.</summary>
    public RecordId Send(int partition)
    {
        List<long> outcomes = _outcomes[partition];
        lock (outcomes)
        {
            outcomes.Add(Pending);
            Interlocked.Increment(ref _sent);
            return new RecordId(id, outcomes.Count - 1);
        }
    }

    /// <param name="offset">Null where the client was not told it, as for some duplicates.</param>
    public void Acknowledge(int partition, long sequence, long? offset)
    {
        Settle(partition, sequence, offset is >= 0 ? offset.Value : AcknowledgedSomewhere);
        Interlocked.Increment(ref _acknowledged);
    }

    public void Fail(int partition, long sequence)
    {
        Settle(partition, sequence, Failed);
        Interlocked.Increment(ref _failed);
    }

    /// <summary>The outcomes of a partition's records by sequence.</summary>
    public long[] Outcomes(int partition)
    {
        List<long> outcomes = _outcomes[partition];
        lock (outcomes)
            return [.. outcomes];
    }

    private void Settle(int partition, long sequence, long outcome)
    {
        List<long> outcomes = _outcomes[partition];
        lock (outcomes)
            outcomes[(int)sequence] = outcome;
    }
}
