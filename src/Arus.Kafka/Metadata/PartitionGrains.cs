using System.Collections.Concurrent;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// References to partition grains, kept because making one costs more than a fetch from memory. Safe for use by any thread.
/// </summary>
internal sealed class PartitionGrains(IGrainFactory grains, TopicCache topicCache)
{
    private const int MaxEntries = 50_000;

    private readonly ConcurrentDictionary<TopicPartition, IPartitionGrain> _references = new();
    private int _count;

    /// <summary>A reference; it costs no call, and the partition need not exist.</summary>
    public IPartitionGrain Get(TopicPartition partition)
    {
        if (_references.TryGetValue(partition, out IPartitionGrain? known))
            return known;

        if (Interlocked.Increment(ref _count) > MaxEntries)
        {
            _references.Clear();
            Volatile.Write(ref _count, 1);
        }

        return _references.GetOrAdd(partition, Create);
    }

    /// <summary>The partition that a request names, or the error if there is none.</summary>
    public async ValueTask<(IPartitionGrain? Partition, ErrorCode Error)> FindAsync(
        string topicName, int index, KafkaRequestContext context)
    {
        (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(topicName, null, context);
        return topic is null ? (null, error)
            : (uint)index >= (uint)topic.Partitions.Length ? (null, ErrorCode.UnknownTopicOrPartition)
            : (Get(new TopicPartition(topicName, index)), ErrorCode.None);
    }

    private IPartitionGrain Create(TopicPartition partition) =>
        grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));
}
