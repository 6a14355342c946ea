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
                .. offsets.GroupBy(offset => (offset.Key.Topic, offset.Value.TopicId))
                    .OrderBy(topic => topic.Key.Topic, StringComparer.Ordinal).ThenBy(topic => topic.Key.TopicId)
                    .Select(topic => new GroupOffsets.Topic
                    {
                        Name = topic.Key.Topic,
                        Id = topic.Key.TopicId,
                        Partitions = [.. topic.OrderBy(offset => offset.Key.Partition).Select(offset => new GroupOffsets.Partition
                        {
                            Index = offset.Key.Partition,
                            Offset = offset.Value.Offset,
                            LeaderEpoch = offset.Value.LeaderEpoch,
                            Metadata = offset.Value.Metadata,
                            CommittedAtMs = offset.Value.CommittedAtMs,
                            ExpireAtMs = offset.Value.ExpireAtMs,
                        })],
                    }),
            ],
        });

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> Decode(ReadOnlyMemory<byte> data) =>
        DataMessages.ReadVersioned<GroupOffsets>(data).Topics.SelectMany(topic => topic.Partitions.Select(offset => KeyValuePair.Create(
            new TopicPartition(topic.Name, offset.Index),
            new StoredOffset(
                offset.Offset, offset.LeaderEpoch, offset.Metadata, offset.CommittedAtMs, offset.ExpireAtMs, topic.Id))));
}
