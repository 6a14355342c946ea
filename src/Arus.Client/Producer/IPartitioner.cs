namespace Arus.Client;

/// <summary>What a partitioner knows of a record.</summary>
public readonly ref struct PartitionRequest(
    string topic, int partitionCount, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value)
{
    public string Topic { get; } = topic;

    /// <summary>1 or more; it can grow while a producer runs.</summary>
    public int PartitionCount { get; } = partitionCount;

    /// <summary>Serialized; empty for a null key.</summary>
    public ReadOnlySpan<byte> Key { get; } = key;

    public bool IsKeyNull { get; } = isKeyNull;

    /// <summary>Serialized; empty for a null value.</summary>
    public ReadOnlySpan<byte> Value { get; } = value;
}

/// <summary>Chooses the partition of a record that names none. Implementations are safe for concurrent use.</summary>
public interface IPartitioner
{
    /// <summary>The answer by which a partitioner leaves the choice to the producer, which then fills one batch after another.</summary>
    const int AnyPartition = -1;

    /// <summary>From 0 to the partition count minus 1, or <see cref="AnyPartition"/>.</summary>
    int Select(in PartitionRequest request);
}

/// <summary>A partitioner as a function.</summary>
public delegate int PartitionSelector(in PartitionRequest request);

/// <summary>The built-in partitioners.</summary>
public static class Partitioners
{
    /// <summary>Kafka's default: murmur2 of the key; without a key, sticky (KIP-794).</summary>
    public static IPartitioner Default { get; } = From(
        static (in PartitionRequest r) => r.IsKeyNull ? IPartitioner.AnyPartition : Murmur2.Partition(r.Key, r.PartitionCount));

    /// <summary>Takes the partitions in turn and ignores the key. Batches are filled poorly; prefer the default.</summary>
    public static IPartitioner RoundRobin()
    {
        int last = -1;
        return From((in PartitionRequest r) => (Interlocked.Increment(ref last) & int.MaxValue) % r.PartitionCount);
    }

    /// <summary>
    /// A partitioner of one's own. By the first letter of a user name:
    /// <c>Partitioners.From((in PartitionRequest r) =&gt; r.Key.IsEmpty ? 0 : char.ToLowerInvariant((char)r.Key[0]) %
    /// r.PartitionCount)</c>.
    /// </summary>
    public static IPartitioner From(PartitionSelector selector) => new DelegatePartitioner(selector);

    private sealed class DelegatePartitioner(PartitionSelector selector) : IPartitioner
    {
        public int Select(in PartitionRequest request) => selector(request);
    }
}
