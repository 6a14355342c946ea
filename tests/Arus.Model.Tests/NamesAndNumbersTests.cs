using System.Text;

namespace Arus.Model.Tests;

public class NamesAndNumbersTests
{
    /// <summary>The values of Kafka's own tests of its hash.</summary>
    [Theory]
    [InlineData("21", -973932308)]
    [InlineData("foobar", -790332482)]
    [InlineData("a-little-bit-long-string", -985981536)]
    [InlineData("a-little-bit-longer-string", -1486304829)]
    [InlineData("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)]
    [InlineData("abc", 479470107)]
    public void Murmur2_gives_the_values_of_Kafka(string key, int expected) =>
        Assert.Equal(expected, Murmur2.Hash(Encoding.UTF8.GetBytes(key)));

    [Fact]
    public void A_partition_is_the_hash_without_its_sign() =>
        Assert.Equal((-973932308 & int.MaxValue) % 12, Murmur2.Partition("21"u8, 12));

    [Theory]
    [InlineData("a")]
    [InlineData("orders.v1_eu-west")]
    [InlineData("...")]
    public void Accepts_topic_names(string name) => Assert.True(TopicName.IsValid(name));

    [Theory]
    [InlineData(null, "empty")]
    [InlineData("", "empty")]
    [InlineData(".", "'.'")]
    [InlineData("..", "'..'")]
    [InlineData("a b", "' '")]
    [InlineData("naïve", "'ï'")]
    [InlineData("a/b", "'/'")]
    public void Says_what_is_wrong_with_a_topic_name(string? name, string what)
    {
        ValidationResult result = TopicName.Validate(name);
        Assert.Equal(ErrorCode.InvalidTopicException, result.Error);
        Assert.Contains(what, result.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Topic_names_end_at_249_characters()
    {
        Assert.True(TopicName.IsValid(new string('a', 249)));
        Assert.Contains("250", TopicName.Validate(new string('a', 250)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Uuids_have_the_text_of_Kafka()
    {
        var id = new Guid(Convert.FromHexString("00000000000000000000000000000001"), bigEndian: true);
        Assert.Equal("AAAAAAAAAAAAAAAAAAAAAQ", KafkaUuid.Format(id));
    }

    [Fact]
    public void Sequences_wrap_to_zero() =>
        Assert.Equal((0, 4, 7), (ProducerSequence.Add(int.MaxValue, 1), ProducerSequence.Add(int.MaxValue, 5), ProducerSequence.Add(3, 4)));
}
