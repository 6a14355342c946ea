using Arus.Protocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>What is stored today must be readable tomorrow: the bytes are frozen.</summary>
public sealed class GroupFormatTests
{
    private static readonly GroupMetadata Group = new()
    {
        State = (sbyte)GroupState.Stable,
        Generation = 7,
        ProtocolType = "consumer",
        ProtocolName = "range",
        LeaderId = "m-1",
        EmptySinceMs = -1,
        Members =
        [
            new()
            {
                MemberId = "m-1", ClientId = "c", ClientHost = "/h", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
                Metadata = new byte[] { 1, 2 }, Assignment = new byte[] { 3 },
            },
            new()
            {
                MemberId = "m-2", InstanceId = "i", ClientId = "c", ClientHost = "/h",
                SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
            },
        ],
    };

    private static readonly Guid TopicId = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");

    private static readonly KeyValuePair<TopicPartition, StoredPartition>[] Offsets =
    [
        new(new("u", 0), new StoredOffset(1, -1, "", 1_000, -1, TopicId)),
        new(new("t", 3), new StoredOffset(300, 2, "é", 1_700_000_000_000, 2_000)),
        new(new("t", 0), new StoredOffset(-1, -1, "", 0, -1)),
    ];

    [Fact]
    public void A_group_has_these_bytes()
    {
        byte[] bytes = DataMessages.WriteVersioned(Group);

        Assert.Equal(
            "01030E12636F6E73756D65720C72616E6765086D2D310104086D2D31000463062F68A09C01C0A9070601020403"
            + "086D2D3204690463062F68A09C01C0A9070202",
            Convert.ToHexString(bytes));
        GroupMetadata read = DataMessages.ReadVersioned<GroupMetadata>(bytes);
        Assert.Equal(bytes, DataMessages.WriteVersioned(read));
        Assert.Equal((GroupState.Stable, "m-2"), ((GroupState)read.State, read.Members[1].MemberId));
    }

    [Fact]
    public void Offsets_have_these_bytes()
    {
        byte[] bytes = GroupOffsetsFormat.Encode(Offsets);

        Assert.Equal(
            "030404740000000000000000000000000000000004000101020001"
            + "06D8040406C3A980A0ABFEF962A01F00047500112233445566778899AABBCCDDEEFF0200020102D00F0100",
            Convert.ToHexString(bytes));
        Assert.Equal(Committed(Offsets, offset => offset), Committed(GroupOffsetsFormat.Decode(bytes), offset => offset));
    }

    [Fact]
    public void Pending_offsets_have_these_bytes_and_stay_in_order()
    {
        StoredOffset Offset(long offset) => new(offset, 2, "m", 1_000, -1, TopicId);
        PendingOffset[] pending = [new(new(300, 7, 2), Offset(301)), new(new(5, 0, -1), Offset(302))];
        KeyValuePair<TopicPartition, StoredPartition>[] offsets =
        [
            new(new("t", 3), new StoredPartition(Offset(300), pending)), new(new("t", 1), new StoredPartition(null, [pending[1]])),
        ];
        byte[] bytes = GroupOffsetsFormat.Encode(offsets);

        Assert.Equal(
            "0302047400112233445566778899AABBCCDDEEFF0206D80404046DD00F01"
            + "06020A000001DC0404046DD00F06D804000704DA0404046DD00F060A000001DC0404046DD00F",
            Convert.ToHexString(bytes));
        Dictionary<TopicPartition, StoredPartition> read = new(GroupOffsetsFormat.Decode(bytes));
        Assert.Equal((Offset(300), null), (read[new("t", 3)].Committed, read[new("t", 1)].Committed));
        Assert.Equal(pending, read[new("t", 3)].Pending);
        Assert.Equal([pending[1]], read[new("t", 1)].Pending);
    }

    [Fact]
    public void Offsets_of_version_2_have_nothing_pending() => Assert.Equal(
        Committed(Offsets, offset => offset),
        Committed(
            GroupOffsetsFormat.Decode(Convert.FromHexString(
                "020404740000000000000000000000000000000004000101020001"
                + "06D8040406C3A980A0ABFEF962A01F047500112233445566778899AABBCCDDEEFF0200020102D00F01")),
            offset => offset));

    [Fact]
    public void Offsets_of_version_1_are_of_no_certain_topic() => Assert.Equal(
        Committed(Offsets, offset => offset with { TopicId = Guid.Empty }),
        Committed(
            GroupOffsetsFormat.Decode(Convert.FromHexString("010404740400010102000106D8040406C3A980A0ABFEF962A01F04750200020102D00F01")),
            offset => offset));

    [Fact]
    public void Offsets_of_two_topics_of_one_name_stay_apart()
    {
        KeyValuePair<TopicPartition, StoredPartition>[] two =
        [
            new(new("t", 0), new StoredOffset(1, -1, "", 0, -1, Guid.Parse("00000000-0000-0000-0000-000000000001"))),
            new(new("t", 1), new StoredOffset(2, -1, "", 0, -1, Guid.Parse("00000000-0000-0000-0000-000000000002"))),
        ];
        Assert.Equal(
            Committed(two, offset => offset), Committed(GroupOffsetsFormat.Decode(GroupOffsetsFormat.Encode(two)), offset => offset));
    }

    [Fact]
    public void Every_prefix_and_an_appendix_are_refused()
    {
        byte[] group = DataMessages.WriteVersioned(Group);
        byte[] offsets = GroupOffsetsFormat.Encode(Offsets);
        for (int length = 0; length < group.Length; length++)
            Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(group.AsMemory(0, length)));

        for (int length = 0; length < offsets.Length; length++)
            Assert.Throws<InvalidDataException>(() => GroupOffsetsFormat.Decode(offsets.AsMemory(0, length)));

        Assert.Throws<InvalidDataException>(() => GroupOffsetsFormat.Decode((byte[])[.. offsets, 0]));
    }

    [Fact]
    public void A_later_version_is_refused_by_its_number()
    {
        var unknown = Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(new byte[] { 9 }));
        Assert.Contains("v9", unknown.Message);
    }

    [Fact]
    public void Ten_thousand_offsets_stay_small()
    {
        IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> offsets = Enumerable.Range(0, 10_000)
            .Select(i => KeyValuePair.Create(
                new TopicPartition($"topic-{i / 100}", i % 100),
                (StoredPartition)new StoredOffset(i * 1_000L, 5, "", 1_700_000_000_000 + i, -1)));

        Assert.InRange(GroupOffsetsFormat.Encode(offsets).Length, 0, 200_000);
    }

    /// <summary>The committed offsets in order; none of these partitions has anything pending.</summary>
    private static IEnumerable<(TopicPartition, StoredOffset)> Committed(
        IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> offsets, Func<StoredOffset, StoredOffset> select)
    {
        Assert.All(offsets, offset => Assert.Empty(offset.Value.Pending));
        return offsets.OrderBy(offset => offset.Key.Topic, StringComparer.Ordinal).ThenBy(offset => offset.Key.Partition)
            .Select(offset => (offset.Key, select(offset.Value.Committed!.Value)));
    }
}
