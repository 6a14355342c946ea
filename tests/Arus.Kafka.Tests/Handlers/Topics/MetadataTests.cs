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
        await connection.CallAsync<DeleteTopicsResponse>(new DeleteTopicsRequest { TopicNames = ["a"], TimeoutMs = 1_000 }, 4);
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
        var unknown = Guid.NewGuid();
        MetadataResponse.MetadataTopic[] byName = await AskAsync(kafka, new() { Name = "no/slash" }, new() { Name = "topic" });
        Assert.Equal([ErrorCode.InvalidTopicException, ErrorCode.None], byName.Select(topic => topic.ErrorCode));
        MetadataResponse.MetadataTopic[] byId = await AskAsync(kafka, new() { TopicId = id }, new() { TopicId = unknown });
        Assert.Equal(
            [(ErrorCode.None, "topic", id), (ErrorCode.UnknownTopicId, null, unknown)],
            byId.Select(topic => (topic.ErrorCode, topic.Name, topic.TopicId)));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("other")]
    [InlineData("no/slash")]
    public async Task An_id_counts_more_than_the_name_beside_it(string? name)
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        kafka.Cluster.AddTopic("other", 1);
        MetadataResponse.MetadataTopic topic = Assert.Single(
            await AskAsync(kafka, new MetadataRequest.MetadataRequestTopic { Name = name, TopicId = id }));
        Assert.Equal((ErrorCode.None, "topic", id), (topic.ErrorCode, topic.Name, topic.TopicId));
    }

    [Fact]
    public async Task Where_there_are_ids_only_topics_with_one_are_described_and_each_is_once()
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        kafka.Cluster.AddTopic("other", 1);
        Assert.Equal(
            ["topic"],
            (await AskAsync(kafka, new() { TopicId = id }, new() { Name = "other" }, new() { TopicId = id })).Select(topic => topic.Name));
        Assert.Single(await AskAsync(kafka, new() { Name = "other" }, new() { Name = "other" }));
    }

    [Theory]
    [InlineData(10)]
    [InlineData(11)]
    public async Task Versions_that_have_no_ids_yet_refuse_them_as_a_whole(short version)
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        var request = new MetadataRequest { Topics = [new() { Name = "topic", TopicId = id }] };
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, version);
        Assert.Equal(
            (ErrorCode.InvalidRequest, "topic", id),
            (response.Topics[0].ErrorCode, response.Topics[0].Name, response.Topics[0].TopicId));
        Assert.Equal((0, -1, null), (response.Brokers.Length, response.ControllerId, response.ClusterId));
    }

    [Theory]
    [InlineData("__consumer_offsets")]
    [InlineData("__transaction_state")]
    [InlineData("__share_group_state")]
    public async Task What_Kafka_keeps_in_topics_is_never_created_because_a_client_asks(string name)
    {
        await using var kafka = new KafkaHarness(options => options with { AutoCreateTopics = true });
        MetadataRequest request = Messages.Metadata(name);
        request.AllowAutoTopicCreation = true;
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, 8);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, response.Topics[0].ErrorCode);
        Assert.Null(kafka.Cluster.Topic(name).Description);
    }

    [Fact]
    public async Task All_operations_are_allowed_to_a_topic_that_is_not_there_too()
    {
        await using var kafka = new KafkaHarness();
        MetadataRequest request = Messages.Metadata("no");
        request.IncludeTopicAuthorizedOperations = true;
        Assert.Equal(3576, (await kafka.Connect().CallAsync<MetadataResponse>(request, 8)).Topics[0].TopicAuthorizedOperations);
        var describe = new DescribeTopicPartitionsRequest { Topics = [new() { Name = "no" }], ResponsePartitionLimit = 1 };
        DescribeTopicPartitionsResponse described = await kafka.Connect().CallAsync<DescribeTopicPartitionsResponse>(describe, 0);
        Assert.Equal(3576, described.Topics[0].TopicAuthorizedOperations);
    }

    [Theory]
    [InlineData("c", 0)]
    [InlineData("", 0)]
    [InlineData("a", -1)]
    public async Task A_cursor_is_at_a_partition_of_a_topic_that_is_asked_for(string topic, int partition)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 3);
        kafka.Cluster.AddTopic("b", 3);
        var request = new DescribeTopicPartitionsRequest
        {
            Topics = [new() { Name = "a" }, new() { Name = "b" }],
            ResponsePartitionLimit = 2,
            Cursor = new() { TopicName = topic, PartitionIndex = partition },
        };
        DescribeTopicPartitionsResponse response = await kafka.Connect().CallAsync<DescribeTopicPartitionsResponse>(request, 0);
        Assert.Equal(
            [("a", ErrorCode.InvalidRequest), ("b", ErrorCode.InvalidRequest)],
            response.Topics.Select(answer => (answer.Name, answer.ErrorCode)));
        Assert.Null(response.NextCursor);
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
    public async Task A_damaged_shard_of_the_catalog_hides_its_own_topics_only()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        kafka.Cluster.AddTopic("b", 1);
        kafka.Cluster.CatalogFailure = new CorruptGrainStateException("b.state", "it has 7 bytes");
        kafka.Cluster.FailingShard = TopicCatalog.ShardOf("b");
        MetadataResponse all = await kafka.Connect().CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 12);
        Assert.Equal(["a"], all.Topics.Select(topic => topic.Name));
        MetadataResponse named = await kafka.Connect().CallAsync<MetadataResponse>(
            new MetadataRequest { Topics = [new() { Name = "b" }] }, 12);
        Assert.Equal(ErrorCode.None, named.Topics[0].ErrorCode);
        Assert.Contains("b.state", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
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

    private static async Task<MetadataResponse.MetadataTopic[]> AskAsync(
        KafkaHarness kafka, params MetadataRequest.MetadataRequestTopic[] topics) =>
        (await kafka.Connect().CallAsync<MetadataResponse>(new MetadataRequest { Topics = topics }, 12)).Topics;
}
