using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>Metadata and DescribeTopicPartitions.</summary>
public sealed class MetadataTests
{
    [Fact]
    public async Task Metadata_tells_the_addresses_of_the_listener_that_was_asked()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        MetadataResponse outer = await kafka.Connect().CallAsync<MetadataResponse>(Messages.Metadata("topic"), 12);
        Assert.Equal(["one.example:9092", "two.example:9092"], outer.Brokers.Select(broker => $"{broker.Host}:{broker.Port}"));
        Assert.Equal([1, 2], outer.Topics[0].Partitions.Select(partition => partition.LeaderId));
        Assert.All(outer.Brokers, broker => Assert.Null(broker.Rack));
        Assert.Equal(("test-cluster", 1), (outer.ClusterId, outer.ControllerId));

        // Broker 2 lacks the other listener: its partitions have no leader there.
        var other = new KafkaListener(new Listener("OTHER", "one.inner", 9192), null);
        MetadataResponse inner = await kafka.Connect(listener: other).CallAsync<MetadataResponse>(Messages.Metadata("topic"), 12);
        Assert.Equal(["one.inner:9192"], inner.Brokers.Select(broker => $"{broker.Host}:{broker.Port}"));
        Assert.Equal(
            [(ErrorCode.None, 1), (ErrorCode.LeaderNotAvailable, -1)],
            inner.Topics[0].Partitions.Select(partition => (partition.ErrorCode, partition.LeaderId)));
        Assert.Equal([2], inner.Topics[0].Partitions[1].OfflineReplicas);
    }

    [Fact]
    public async Task Metadata_lists_all_topics_or_none()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("b", 1);
        kafka.Cluster.AddTopic("a", 1);
        TestConnection connection = kafka.Connect();
        Assert.Equal(["a", "b"], await Names(new MetadataRequest { Topics = [] }, 0));
        Assert.Equal(["a", "b"], await Names(new MetadataRequest { Topics = null }, 1));
        Assert.Empty(await Names(new MetadataRequest { Topics = [] }, 1));

        async Task<IEnumerable<string?>> Names(MetadataRequest request, short version) =>
            (await connection.CallAsync<MetadataResponse>(request, version)).Topics.Select(topic => topic.Name);
    }

    [Theory]
    [InlineData(true, true, ErrorCode.None)]
    [InlineData(true, false, ErrorCode.UnknownTopicOrPartition)]
    [InlineData(false, true, ErrorCode.UnknownTopicOrPartition)]
    public async Task Metadata_creates_a_topic_where_broker_and_client_allow_it(bool broker, bool client, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness(options => options with { AutoCreateTopics = broker });
        MetadataRequest request = Messages.Metadata("new");
        request.AllowAutoTopicCreation = client;
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, 8);
        Assert.Equal(expected, response.Topics[0].ErrorCode);
        Assert.Equal(expected == ErrorCode.None, kafka.Cluster.Topic("new").Description is not null);
    }

    [Fact]
    public async Task Metadata_refuses_bad_names_and_unknown_ids_each_by_itself()
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        var request = new MetadataRequest
        {
            Topics = [new() { Name = "no/slash" }, new() { TopicId = id }, new() { TopicId = Guid.NewGuid() }],
        };
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, 12);
        Assert.Equal(
            [ErrorCode.InvalidTopicException, ErrorCode.None, ErrorCode.UnknownTopicId], response.Topics.Select(topic => topic.ErrorCode));
        Assert.Equal("topic", response.Topics[1].Name);
    }

    [Fact]
    public async Task A_topic_that_cannot_be_described_is_listed_with_its_error()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        kafka.Cluster.AddTopic("b", 1);
        kafka.Cluster.Topic("b").Failure = new TimeoutException();
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 12);
        Assert.Equal(
            [("a", ErrorCode.None), ("b", ErrorCode.LeaderNotAvailable)],
            response.Topics.Select(topic => (topic.Name, topic.ErrorCode)));
    }

    [Fact]
    public async Task A_list_of_topics_that_cannot_be_had_is_not_taken_for_an_empty_one()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.CatalogFailure = new TimeoutException();
        TestConnection metadata = kafka.Connect();
        await metadata.SendAsync(new MetadataRequest { Topics = null }, 12);
        Assert.Null(await metadata.ReceiveFrameAsync());
        TestConnection partitions = kafka.Connect();
        await partitions.SendAsync(new DescribeTopicPartitionsRequest(), 0);
        Assert.Null(await partitions.ReceiveFrameAsync());

        // What passes by itself is no complaint.
        Assert.Empty(kafka.Complaints);
    }

    [Fact]
    public async Task Partitions_are_described_page_by_page()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 3);
        kafka.Cluster.AddTopic("b", 2);
        TestConnection connection = kafka.Connect();
        var request = new DescribeTopicPartitionsRequest { ResponsePartitionLimit = 2 };
        var pages = new List<string>();
        do
        {
            DescribeTopicPartitionsResponse page = await connection.CallAsync<DescribeTopicPartitionsResponse>(request, 0);
            pages.Add(string.Join(
                ' ', page.Topics.SelectMany(topic => topic.Partitions.Select(partition => $"{topic.Name}{partition.PartitionIndex}"))));
            request.Cursor = page.NextCursor is { } next
                ? new() { TopicName = next.TopicName, PartitionIndex = next.PartitionIndex }
                : null;
        }
        while (request.Cursor is not null);
        Assert.Equal(["a0 a1", "a2 b0", "b1"], pages);
    }
}
