namespace Arus.Chaos;

/// <summary>Which record stands at which offset, as one reader saw it. Thread-safe for each partition.</summary>
internal sealed class TopicContents(string reader, int partitions)
{
    /// <summary>Nothing was read at this offset.</summary>
    public const ulong None = 0;

    /// <summary>Bytes that nobody sent.</summary>
    public const ulong Foreign = ulong.MaxValue;

    private readonly List<ulong>[] _partitions = [.. Enumerable.Range(0, partitions).Select(_ => new List<ulong>())];
    private long _contradictions;

    /// <summary>Who read, as reports name it.</summary>
    public string Reader => reader;

    public int PartitionCount => partitions;

    /// <summary>How often an offset was read again with another record than before.</summary>
    public long Contradictions => Interlocked.Read(ref _contradictions);

    public long Count => _partitions.Sum(partition => (long)partition.Count(packed => packed != None));

    public void Add(int partition, long offset, ReadOnlySpan<byte> value) =>
        Add(partition, offset, ChaosRecord.TryRead(value, partition, out RecordId id) ? id.Packed : Foreign);

    public void Add(int partition, long offset, ulong packed)
    {
        List<ulong> records = _partitions[partition];
        lock (records)
        {
            while (records.Count <= offset)
                records.Add(None);

            if (records[(int)offset] != None && records[(int)offset] != packed)
                Interlocked.Increment(ref _contradictions);

            records[(int)offset] = packed;
        }
    }

    /// <summary>The offset behind the last that was read.</summary>
    public long End(int partition)
    {
        lock (_partitions[partition])
            return _partitions[partition].Count;
    }

    /// <summary>The records of a partition by offset: <see cref="RecordId.Packed"/>, <see cref="None"/> or <see cref="Foreign"/>.</summary>
    public ulong[] Records(int partition)
    {
        lock (_partitions[partition])
            return [.. _partitions[partition]];
    }
}
