namespace Arus.Grains.Tests;

public sealed class NamesTests
{
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
