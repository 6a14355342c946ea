namespace Arus.Protocol.Tests;

public sealed class DataMessageTests
{
    private static readonly byte[] s_versioned = DataMessages.WriteVersioned(new GroupMetadata { LeaderId = "m" });
    private static readonly byte[] s_embedded =
        DataMessages.WriteEmbedded(new ConsumerProtocolSubscription { Topics = ["t"], GenerationId = 5, RackId = "r" }, 3);

    [Fact]
    public void A_row_begins_with_its_version_and_is_read_to_its_end()
    {
        Assert.Equal(1, s_versioned[0]);
        Assert.Equal("m", DataMessages.ReadVersioned<GroupMetadata>(s_versioned).LeaderId);
        for (int length = 0; length < s_versioned.Length; length++)
        {
            Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(s_versioned.AsMemory(0, length)));
        }

        Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>((byte[])[.. s_versioned, 0]));
    }

    [Fact]
    public void A_row_of_another_version_is_refused_by_its_number() => Assert.Contains(
        "GroupMetadata v9", Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(new byte[] { 9 })).Message);

    [Fact]
    public void What_is_embedded_begins_with_its_version_and_is_read_as_far_as_it_is_known()
    {
        byte[] later = [0, 7, .. s_embedded[2..], 9, 9];

        Assert.Equal("r", DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(s_embedded).RackId);
        Assert.Equal("r", DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(later).RackId);
        Assert.Equal(-1, DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(later, maxVersion: 1).GenerationId);
    }

    [Fact]
    public void What_is_embedded_is_refused_when_it_is_cut_off_or_has_a_negative_version()
    {
        for (int length = 0; length < s_embedded.Length; length++)
        {
            Assert.Throws<InvalidDataException>(
                () => DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(s_embedded.AsMemory(0, length)));
        }

        Assert.Throws<InvalidDataException>(
            () => DataMessages.ReadEmbedded<ConsumerProtocolSubscription>((byte[])[255, 255, .. s_embedded[2..]]));
    }

    [Fact]
    public void A_count_that_stands_apart_from_its_elements_is_checked()
    {
        byte[] bytes = DataMessages.Write(new LogCheckpoint { Epochs = [new()], Producers = new byte[] { 1 } }, 1);
        Assert.Single(DataMessages.Read<LogCheckpoint>(bytes, 1).Epochs);
        foreach (int at in new[] { 52, 56 })
        {
            foreach (byte high in new byte[] { 0x7F, 0xFF })
            {
                byte[] damaged = [.. bytes];
                damaged[at] = high;
                Assert.Throws<InvalidDataException>(() => DataMessages.Read<LogCheckpoint>(damaged, 1));
            }
        }
    }
}
