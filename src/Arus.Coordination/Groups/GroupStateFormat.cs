using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>How groups are stored: as <see cref="GroupMetadata"/> and pages of <see cref="GroupOffsets"/>.</summary>
public static class GroupStateFormat
{
    /// <summary>Writes what <see cref="DecodeSnapshot"/> reads.</summary>
    public static byte[] EncodeSnapshot(GroupSnapshot snapshot) => DataMessages.WriteVersioned(new GroupMetadata
    {
        State = (sbyte)snapshot.State,
        Generation = snapshot.Generation,
        ProtocolType = snapshot.ProtocolType,
        ProtocolName = snapshot.ProtocolName,
        LeaderId = snapshot.LeaderId,
        EmptySinceMs = snapshot.EmptySinceMs,
        Members =
        [
            .. snapshot.Members.Select(member => new GroupMetadata.Member
            {
                MemberId = member.MemberId,
                InstanceId = member.InstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                SessionTimeoutMs = member.SessionTimeoutMs,
                RebalanceTimeoutMs = member.RebalanceTimeoutMs,
                Metadata = member.Metadata,
                Assignment = member.Assignment,
            }),
        ],
    });

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static GroupSnapshot DecodeSnapshot(ReadOnlyMemory<byte> data)
    {
        GroupMetadata group = DataMessages.ReadVersioned<GroupMetadata>(data);
        return new GroupSnapshot(
            (GroupState)group.State, group.Generation, group.ProtocolType, group.ProtocolName, group.LeaderId, group.EmptySinceMs,
            [
                .. group.Members.Select(member => new MemberSnapshot(
                    member.MemberId, member.InstanceId, member.ClientId, member.ClientHost, member.SessionTimeoutMs,
                    member.RebalanceTimeoutMs, member.Metadata, member.Assignment)),
            ]);
    }

    /// <summary>Writes what <see cref="DecodeOffsets"/> reads.</summary>
    public static byte[] EncodeOffsets(IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> offsets) =>
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
    public static List<KeyValuePair<TopicPartition, StoredOffset>> DecodeOffsets(ReadOnlyMemory<byte> data)
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
