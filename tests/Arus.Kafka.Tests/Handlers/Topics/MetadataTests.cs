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

    [Fact]
    public async Task All_topics_are_described_once_for_many_clients_and_anew_when_that_is_old()
    {
        await using var kafka = new KafkaHarness();
        for (int i = 0; i < 3_000; i++)
            kafka.Cluster.AddTopic($"topic-{i}", 3);

        for (int round = 1; round <= 2; round++)
        {
            MetadataResponse[] responses = await Task.WhenAll(Enumerable.Range(0, 20).Select(
                _ => kafka.Connect().CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 9)));
            Assert.All(responses, response => Assert.Equal(3_000, response.Topics.Length));
            Assert.Equal(round, kafka.Cluster.Topic("topic-7").Describes);
            kafka.Time.Advance(TopicCache.MetadataMaxAge);
        }
    }

    [Fact]
    public async Task A_change_through_this_broker_is_seen_in_the_list_of_all_topics_at_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        TestConnection connection = kafka.Connect();
        Assert.Equal(["a"], await NamesAsync());
        await connection.CallAsync<CreateTopicsResponse>(
            new CreateTopicsRequest { Topics = [new() { Name = "b", NumPartitions = 1, ReplicationFactor = -1 }] }, 5);
        Assert.Equal(["a", "b"], await NamesAsync());
        await connection.CallAsync<DeleteTopicsResponse>(new DeleteTopicsRequest { TopicNames = ["a"] }, 4);
        Assert.Equal(["b"], await NamesAsync());

        async Task<IEnumerable<string?>> NamesAsync() =>
            (await connection.CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 9)).Topics.Select(topic => topic.Name);
    }

    [Fact]
    public async Task A_response_with_all_topics_is_encoded_once_for_each_kind_of_client_until_the_cluster_changes()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        TopicSnapshot snapshot = await kafka.Get<AllTopics>().GetAsync();
        ClusterView cluster = await kafka.Get<ClusterCache>().ViewAsync(kafka.Listener);
        int encoded = 0;
        for (int round = 0; round < 3; round++)
        {
            ClusterView same = cluster with { Nodes = [.. cluster.Nodes] };
            await EncodeAsync(new ResponseKind(9, "PLAINTEXT", false, false), same);
            await EncodeAsync(new ResponseKind(9, "PLAINTEXT", true, false), same);
            await EncodeAsync(new ResponseKind(12, "PLAINTEXT", false, false), same);
        }

        Assert.Equal(3, encoded);
        ClusterView fewer = cluster with { Nodes = cluster.Nodes[..1] };
        await EncodeAsync(new ResponseKind(9, "PLAINTEXT", false, false), fewer);
        Assert.Equal(4, encoded);
        for (short version = 0; version < 3 * TopicSnapshot.MaxEncoded; version++)
            await EncodeAsync(new ResponseKind((short)(version % 12), $"{version}", false, false), fewer);

        Assert.Equal(4 + (3 * TopicSnapshot.MaxEncoded), encoded);

        Task EncodeAsync(ResponseKind kind, ClusterView view) => snapshot.EncodeAsync(kind, view, () =>
        {
            Interlocked.Increment(ref encoded);
            return new MetadataResponse();
        });
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

    [Theory]
    [InlineData(2, 2_000)]
    [InlineData(2_000, 2)]
    public async Task Partitions_are_described_page_by_page(int asked, int configured)
    {
        // max.request.partition.size.limit
        await using var kafka = new KafkaHarness(options => options with { MaxRequestPartitions = configured });
        kafka.Cluster.AddTopic("a", 3);
        kafka.Cluster.AddTopic("b", 2);
        TestConnection connection = kafka.Connect();
        var request = new DescribeTopicPartitionsRequest { ResponsePartitionLimit = asked };
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
