using System.Text.Json;

namespace Arus.Grains.Tests;

/// <summary>
/// What grains keep is read by later versions: these texts are frozen. A new member is added with a default; none is renamed or
/// taken away.
/// </summary>
public sealed class StateFormatTests
{
    private static readonly Guid TopicId = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");

    [Fact]
    public void A_topic() => Frozen(
        """{"Id":"00112233-4455-6677-8899-aabbccddeeff","Replicas":[[1],[2]],"Configs":{"retention.ms":"5"},"Version":3,"""
        + """
          "Deleting":true,"CreatedAtMs":7}
          """,
        new TopicState
        {
            Id = TopicId, Replicas = [[1], [2]], Configs = new() { ["retention.ms"] = "5" }, Version = 3, Deleting = true, CreatedAtMs = 7,
        });

    [Fact]
    public void A_row_of_the_topic_catalog() => Frozen(
        """
        {"Listed":[{"Name":"a","Id":"00112233-4455-6677-8899-aabbccddeeff","Partitions":3,"IsInternal":false}],
        """
        + """
          "Pending":[{"Name":"b","Id":"00112233-4455-6677-8899-aabbccddeeff","Partitions":1,"IsInternal":true}]}
          """,
        new TopicCatalogRow { Listed = [new TopicListing("a", TopicId, 3, false)], Pending = [new TopicListing("b", TopicId, 1, true)] });

    [Fact]
    public void A_partition() => Frozen(
        """{"LeaderEpoch":4,"Leader":1,"Replicas":[1,2],"Isr":[1],"TopicId":"00112233-4455-6677-8899-aabbccddeeff"}""",
        new PartitionLeadership { LeaderEpoch = 4, Leader = 1, Replicas = [1, 2], Isr = [1], TopicId = TopicId });

    [Fact]
    public void The_cluster() => Frozen(
        """
        {"ClusterId":"c","Brokers":[{"BrokerId":1,"SiloName":"broker-1",
        """
        + """
          "Endpoints":[{"Listener":"PLAINTEXT","Host":"h","Port":9092}],"Rack":null}]}
          """,
        new ClusterState
        {
            ClusterId = "c", Brokers = [new BrokerRegistration(1, "broker-1", [new BrokerEndpoint("PLAINTEXT", "h", 9092)], null)],
        });

    [Fact]
    public void Producer_ids() => Frozen("""{"Next":12}""", new ProducerIdState { Next = 12 });

    [Fact]
    public void A_transactional_id() => Frozen(
        """{"CoordinatorEpoch":3,"Owner":"00112233-4455-6677-8899-aabbccddeeff","Metadata":"AQI="}""",
        new TransactionRow { CoordinatorEpoch = 3, Owner = TopicId, Metadata = [1, 2] });

    [Fact]
    public void A_shard_of_the_list_of_transactional_ids() => Frozen(
        """{"Ids":["a","b"],"Open":["b"]}""", new TransactionCatalogState { Ids = ["a", "b"], Open = ["b"] });

    [Fact]
    public void The_dynamic_configuration() => Frozen(
        """{"Version":3,"Resources":[{"Type":4,"Name":"","Values":{"log.retention.ms":"5"}}]}""",
        new ConfigState
        {
            Version = 3, Resources = [new DynamicConfig(ConfigResourceType.Broker, "", new() { ["log.retention.ms"] = "5" })],
        });

    private static void Frozen<T>(string json, T state)
    {
        JsonSerializerOptions options = new FileGrainStorageOptions().Json;
        Assert.Equal(json.Trim(), JsonSerializer.Serialize(state, options));
        Assert.Equal(json.Trim(), JsonSerializer.Serialize(JsonSerializer.Deserialize<T>(json, options), options));
    }
}
