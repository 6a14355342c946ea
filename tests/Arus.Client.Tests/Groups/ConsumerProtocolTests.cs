namespace Arus.Client.Tests.Groups;

/// <summary>The bytes are those of Kafka's message definitions, written by hand from their field lists.</summary>
public sealed class ConsumerProtocolTests
{
    private static readonly ConsumerSubscription Subscription =
        new(["t"], new byte[] { 1, 2 }, [new("t", 2), new("t", 0)], Generation: 5, RackId: "r");

    [Theory]
    [InlineData(0, "0000 00000001 0001 74 00000002 0102")]
    [InlineData(1, "0001 00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002")]
    [InlineData(2, "0002 00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002 00000005")]
    [InlineData(3, "0003 00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002 00000005 0001 72")]
    public void A_subscription_has_the_bytes_of_its_version(short version, string hex)
    {
        byte[] expected = Convert.FromHexString(hex.Replace(" ", ""));

        Assert.Equal(expected, ConsumerProtocol.EncodeSubscription(Subscription, version));

        ConsumerSubscription read = ConsumerProtocol.DecodeSubscription(expected);
        Assert.Equal(["t"], read.Topics);
        Assert.Equal(new byte[] { 1, 2 }, read.UserData.ToArray());
        Assert.Equal(version >= 1 ? [new TopicPartition("t", 0), new TopicPartition("t", 2)] : [], read.Owned);
        Assert.Equal(version >= 2 ? 5 : -1, read.Generation);
        Assert.Equal(version >= 3 ? "r" : null, read.RackId);
    }

    [Fact]
    public void A_subscription_of_a_later_version_is_read_as_far_as_it_is_known()
    {
        byte[] later = [.. ConsumerProtocol.EncodeSubscription(Subscription), 9, 9];
        later[1] = 7;

        Assert.Equal("r", ConsumerProtocol.DecodeSubscription(later).RackId);
    }

    [Fact]
    public void An_assignment_has_the_bytes_that_every_client_reads()
    {
        byte[] bytes = ConsumerProtocol.EncodeAssignment([new("t", 1), new("t", 0)]);

        Assert.Equal("000000000001000174000000020000000000000001FFFFFFFF", Convert.ToHexString(bytes));
        Assert.Equal([new TopicPartition("t", 0), new TopicPartition("t", 1)], ConsumerProtocol.DecodeAssignment(bytes));
        Assert.Empty(ConsumerProtocol.DecodeAssignment(default));
    }

    [Fact]
    public void User_data_has_the_bytes_of_Kafkas_assignors()
    {
        TopicPartition[] owned = [new("t", 0)];

        Assert.Equal(
            "00000001000174000000010000000000000005", Convert.ToHexString(PartitionAssignors.Sticky.GetUserData(["t"], owned, 5).Span));
        Assert.Equal("00000005", Convert.ToHexString(PartitionAssignors.CooperativeSticky.GetUserData(["t"], owned, 5).Span));
        Assert.True(PartitionAssignors.Range.GetUserData(["t"], owned, 5).IsEmpty);
    }

    [Fact]
    public void Every_prefix_of_a_message_is_refused_and_nothing_is_allocated_for_its_counts()
    {
        byte[] subscription = ConsumerProtocol.EncodeSubscription(Subscription);
        for (int length = 0; length < subscription.Length; length++)
            Assert.Throws<InvalidDataException>(() => ConsumerProtocol.DecodeSubscription(subscription.AsMemory(0, length)));

        Assert.Throws<InvalidDataException>(() => ConsumerProtocol.DecodeSubscription(Convert.FromHexString("00007FFFFFFF0001")));
        Assert.Throws<InvalidDataException>(() => ConsumerProtocol.DecodeAssignment(Convert.FromHexString("00007FFFFFFF000174")));
    }
}
