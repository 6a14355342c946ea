using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>Committed and pending offsets as they are stored: pages of <see cref="GroupOffsets"/>.</summary>
public static class GroupOffsetsFormat
{
    /// <summary>Writes what <see cref="Decode"/> reads.</summary>
    public static byte[] Encode(IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> offsets)
    {
        KeyValuePair<TopicPartition, StoredPartition>[] all = [.. offsets.OrderBy(offset => offset.Key.Partition)];
        ILookup<(string, Guid), (int Index, StoredOffset Offset)> committed = all.Where(offset => offset.Value.Committed is not null)
            .Select(offset => (offset.Key, Offset: offset.Value.Committed!.Value))
            .ToLookup(offset => (offset.Key.Topic, offset.Offset.TopicId), offset => (offset.Key.Partition, offset.Offset));
        ILookup<(string, Guid), (int Index, PendingOffset Pending)> pending = all
            .SelectMany(offset => offset.Value.Pending, (offset, pending) => (offset.Key, Pending: pending))
            .ToLookup(offset => (offset.Key.Topic, offset.Pending.Offset.TopicId), offset => (offset.Key.Partition, offset.Pending));
        return DataMessages.WriteVersioned(new GroupOffsets
        {
            Topics =
            [
                .. committed.Select(topic => topic.Key).Union(pending.Select(topic => topic.Key))
                    .OrderBy(topic => topic.Item1, StringComparer.Ordinal).ThenBy(topic => topic.Item2)
                    .Select(topic => new GroupOffsets.Topic
                    {
                        Name = topic.Item1,
                        Id = topic.Item2,
                        Partitions = [.. committed[topic].Select(offset => Encode(offset.Index, offset.Offset))],
                        Pending = [.. pending[topic].Select(offset => Encode(offset.Index, offset.Pending))],
                    }),
            ],
        });
    }

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> Decode(ReadOnlyMemory<byte> data)
    {
        var offsets = new OrderedDictionary<TopicPartition, (StoredOffset? Committed, List<PendingOffset> Pending)>();
        foreach (GroupOffsets.Topic topic in DataMessages.ReadVersioned<GroupOffsets>(data).Topics)
        {
            foreach (GroupOffsets.Partition committed in topic.Partitions)
            {
                offsets[new TopicPartition(topic.Name, committed.Index)] = (Decode(topic.Id, committed), []);
            }

            foreach (GroupOffsets.PendingOffset pending in topic.Pending)
            {
                var partition = new TopicPartition(topic.Name, pending.Index);
                if (!offsets.TryGetValue(partition, out (StoredOffset? Committed, List<PendingOffset> Pending) found))
                    offsets.Add(partition, found = (null, []));

                found.Pending.Add(Decode(topic.Id, pending));
            }
        }

        return offsets.Select(
            offset => KeyValuePair.Create(offset.Key, new StoredPartition(offset.Value.Committed, offset.Value.Pending)));
    }

    private static GroupOffsets.Partition Encode(int index, StoredOffset offset) => new()
    {
        Index = index,
        Offset = offset.Offset,
        LeaderEpoch = offset.LeaderEpoch,
        Metadata = offset.Metadata,
        CommittedAtMs = offset.CommittedAtMs,
        ExpireAtMs = offset.ExpireAtMs,
    };

    private static GroupOffsets.PendingOffset Encode(int index, PendingOffset pending) => new()
    {
        Index = index,
        ProducerId = pending.ProducerId,
        ProducerEpoch = pending.ProducerEpoch,
        CoordinatorEpoch = pending.Transaction.CoordinatorEpoch,
        Offset = pending.Offset.Offset,
        LeaderEpoch = pending.Offset.LeaderEpoch,
        Metadata = pending.Offset.Metadata,
        CommittedAtMs = pending.Offset.CommittedAtMs,
    };

    private static StoredOffset Decode(Guid topicId, GroupOffsets.Partition committed) => new(
        committed.Offset, committed.LeaderEpoch, committed.Metadata, committed.CommittedAtMs, committed.ExpireAtMs, topicId);

    private static PendingOffset Decode(Guid topicId, GroupOffsets.PendingOffset pending) => new(
        new OffsetTransaction(pending.ProducerId, pending.ProducerEpoch, pending.CoordinatorEpoch),
        new StoredOffset(pending.Offset, pending.LeaderEpoch, pending.Metadata, pending.CommittedAtMs, ExpireAtMs: -1, topicId));
}
