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

    /// <summary>A reference; it costs no call, and the partition need not exist.</summary>
    public IPartitionGrain Get(TopicPartition partition)
    {
        if (_references.TryGetValue(partition, out IPartitionGrain? known))
            return known;

        if (_references.Count >= MaxEntries)
            _references.Clear();

        return _references.GetOrAdd(partition, Create);
    }

    /// <summary>Asks a partition that a request names, whose failure is its own and not that of the others.</summary>
    /// <param name="ask">Gets the id of the topic, too.</param>
    public Task<TResult> AskAsync<TResult>(
        string topicName, int index, KafkaRequestContext context, Func<IPartitionGrain, Guid, Task<TResult>> ask,
        Func<ErrorCode, TResult> fail)
    {
        var partition = new TopicPartition(topicName, index);
        return context.TryAsync(partition, async () =>
        {
            (TopicDescription? topic, ErrorCode error) = await topicCache.ResolveAsync(topicName, null, context);
            return topic is null ? fail(error)
                : (uint)index >= (uint)topic.Partitions.Length ? fail(ErrorCode.UnknownTopicOrPartition)
                : await ask(Get(partition), topic.Id);
        }, (error, _) => fail(error));
    }

    private IPartitionGrain Create(TopicPartition partition) =>
        grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));
}
