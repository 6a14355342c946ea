using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The partitions and groups that take part in a transaction, in the order in which they came.</summary>
internal sealed class TransactionParticipants
{
    private readonly OrderedDictionary<TransactionParticipant, bool> _all = [];

    public int Count => _all.Count;

    public IReadOnlyList<TransactionParticipant> All => _all.Keys;

    /// <summary>Whether it takes part. Without a topic's id its name counts.</summary>
    public bool Contains(TransactionParticipant participant) =>
        _all.ContainsKey(participant) || _all.ContainsKey(participant with { TopicId = Guid.Empty })
        || (participant.TopicId == Guid.Empty
            && _all.Keys.Any(known => (known.Name, known.Partition) == (participant.Name, participant.Partition)));

    public void Add(TransactionParticipant participant) => _all.TryAdd(participant, true);

    public void Clear() => _all.Clear();

    /// <summary>The partitions by topic, in a certain order.</summary>
    public IEnumerable<(string Name, Guid Id, int[] Partitions)> Topics() => _all.Keys
        .Where(participant => !participant.IsGroup)
        .GroupBy(participant => (participant.Name, participant.TopicId))
        .OrderBy(topic => topic.Key.Name, StringComparer.Ordinal).ThenBy(topic => topic.Key.TopicId)
        .Select(topic => (topic.Key.Name, topic.Key.TopicId, (int[])[.. topic.Select(partition => partition.Partition).Order()]));

    public void Store(TransactionMetadata metadata)
    {
        metadata.Topics = [.. Topics().Select(topic => new TransactionMetadata.Topic
        {
            Name = topic.Name, Id = topic.Id, Partitions = topic.Partitions,
        })];
        metadata.Groups = [.. _all.Keys.Where(participant => participant.IsGroup).Select(group => group.Name)
            .Order(StringComparer.Ordinal)];
    }

    public void Restore(TransactionMetadata metadata)
    {
        foreach (TransactionMetadata.Topic topic in metadata.Topics)
        {
            foreach (int partition in topic.Partitions)
                Add(new TransactionParticipant(topic.Name, partition, topic.Id));
        }

        foreach (string group in metadata.Groups)
            Add(TransactionParticipant.Group(group));
    }
}
