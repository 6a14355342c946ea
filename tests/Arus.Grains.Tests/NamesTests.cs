namespace Arus.Grains.Tests;

public sealed class NamesTests
{
    [Theory]
    [InlineData("orders", true)]
    [InlineData("a.b_c-D9", true)]
    [InlineData("", false)]
    [InlineData(".", false)]
    [InlineData("..", false)]
    [InlineData("...", true)]
    [InlineData("a/b", false)]
    [InlineData("ä", false)]
    [InlineData("a b", false)]
    public void Topic_names_follow_Kafkas_rules(string name, bool valid) => Assert.Equal(valid, TopicNames.Validate(name) is null);

    [Fact]
    public void A_topic_name_has_a_greatest_length()
    {
        Assert.Null(TopicNames.Validate(new string('a', TopicNames.MaxLength)));
        Assert.NotNull(TopicNames.Validate(new string('a', TopicNames.MaxLength + 1)));
    }

    [Theory]
    [InlineData("broker-1", true, 1)]
    [InlineData("broker-17", true, 17)]
    [InlineData("broker-", false, 0)]
    [InlineData("silo-1", false, 0)]
    [InlineData(null, false, 0)]
    public void A_silos_name_tells_its_broker(string? silo, bool isBroker, int id)
    {
        Assert.Equal(isBroker, BrokerNames.TryParse(silo, out int parsed));
        Assert.Equal(id, parsed);
    }

    /// <summary>Frozen: topics on disk are spread by these.</summary>
    [Theory]
    [InlineData("orders", 12, 46)]
    [InlineData("a", 12, 18)]
    [InlineData("__consumer_offsets", 4, 28)]
    public void A_topics_place_in_the_catalog_never_changes(string name, int shard, int row)
    {
        Assert.Equal((shard, row), (TopicCatalog.ShardOf(name), TopicCatalog.RowOf(name, 64)));
        Guid id = TopicCatalog.IdFor(name, Guid.Parse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"));
        Assert.Equal(shard, TopicCatalog.ShardOf(id));
    }
}
