using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>Committed offsets as they are stored: pages of <see cref="GroupOffsets"/>.</summary>
public static class GroupOffsetsFormat
{
    /// <summary>Writes what <see cref="Decode"/> reads.</summary>
    public static byte[] Encode(IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> offsets) =>
        DataMessages.WriteVersioned(new GroupOffsets
        {
            Topics =
            [
                .. offsets.GroupBy(offset => offset.Key.Topic, StringComparer.Ordinal)
                    .OrderBy(topic => topic.Key, StringComparer.Ordinal)
                    .Select(topic => new GroupOffsets.Topic
                    {
                        Name = topic.Key,
                        Partitions = [.. topic.OrderBy(offset => offset.Key.Partition).Select(ToPartition)],
                    }),
            ],
        });

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static List<KeyValuePair<TopicPartition, StoredOffset>> Decode(ReadOnlyMemory<byte> data)
    {
        var offsets = new List<KeyValuePair<TopicPartition, StoredOffset>>();
        foreach (GroupOffsets.Topic topic in DataMessages.ReadVersioned<GroupOffsets>(data).Topics)
        {
            offsets.AddRange(topic.Partitions.Select(offset => KeyValuePair.Create(
                new TopicPartition(topic.Name, offset.Index),
                new StoredOffset(offset.Offset, offset.LeaderEpoch, offset.Metadata, offset.CommittedAtMs, offset.ExpireAtMs))));
        }

        return offsets;
    }

    private static GroupOffsets.Partition ToPartition(KeyValuePair<TopicPartition, StoredOffset> entry) => new()
    {
        Index = entry.Key.Partition,
        Offset = entry.Value.Offset,
        LeaderEpoch = entry.Value.LeaderEpoch,
        Metadata = entry.Value.Metadata,
        CommittedAtMs = entry.Value.CommittedAtMs,
        ExpireAtMs = entry.Value.ExpireAtMs,
    };
}
