namespace Arus.Protocol.Tests;

public sealed class DataMessageTests
{
    private static readonly byte[] Versioned = DataMessages.WriteVersioned(new GroupMetadata { LeaderId = "m" });
    private static readonly byte[] Embedded =
        DataMessages.WriteEmbedded(new ConsumerProtocolSubscription { Topics = ["t"], GenerationId = 5, RackId = "r" }, 3);

    [Fact]
    public void A_row_begins_with_its_version_and_is_read_to_its_end()
    {
        Assert.Equal(1, Versioned[0]);
        Assert.Equal("m", DataMessages.ReadVersioned<GroupMetadata>(Versioned).LeaderId);
        for (int length = 0; length < Versioned.Length; length++)
            Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(Versioned.AsMemory(0, length)));

        Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>((byte[])[.. Versioned, 0]));
    }

    [Fact]
    public void A_row_of_another_version_is_refused_by_its_number() => Assert.Contains(
        "GroupMetadata v9", Assert.Throws<InvalidDataException>(() => DataMessages.ReadVersioned<GroupMetadata>(new byte[] { 9 })).Message);

    [Fact]
    public void What_iEmbedded_begins_with_its_version_and_is_read_as_far_as_it_is_known()
    {
        byte[] later = [0, 7, .. Embedded[2..], 9, 9];

        Assert.Equal("r", DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(Embedded).RackId);
        Assert.Equal("r", DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(later).RackId);
        Assert.Equal(-1, DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(later, maxVersion: 1).GenerationId);
    }

    [Fact]
    public void What_iEmbedded_is_refused_when_it_is_cut_off_or_has_a_negative_version()
    {
        for (int length = 0; length < Embedded.Length; length++)
        {
            Assert.Throws<InvalidDataException>(
                () => DataMessages.ReadEmbedded<ConsumerProtocolSubscription>(Embedded.AsMemory(0, length)));
        }

        Assert.Throws<InvalidDataException>(
            () => DataMessages.ReadEmbedded<ConsumerProtocolSubscription>((byte[])[255, 255, .. Embedded[2..]]));
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
