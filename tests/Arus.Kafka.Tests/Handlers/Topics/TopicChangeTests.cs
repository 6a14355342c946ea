using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>DeleteTopics, CreatePartitions and what CreateTopics has in common with them.</summary>
public sealed class TopicChangeTests
{
    [Fact]
    public async Task A_topic_that_is_named_twice_is_not_deleted_and_told_once()
    {
        await using var kafka = new KafkaHarness();
        Guid[] ids = [.. "abcd".Select(name => kafka.Cluster.AddTopic($"{name}", 1).Id)];
        DeleteTopicsResponse byName = await DeleteAsync(kafka, 5, ("a", default), ("b", default), ("a", default));
        Assert.Equal([("a", ErrorCode.InvalidRequest), ("b", ErrorCode.None)], Answers(byName));
        DeleteTopicsResponse byId = await DeleteAsync(kafka, 6, (null, ids[2]), (null, ids[2]));
        Assert.Equal((null, ids[2], ErrorCode.InvalidRequest), Assert.Single(byId.Responses.Select(
            topic => (topic.Name, topic.TopicId, topic.ErrorCode))));
        DeleteTopicsResponse byBoth = await DeleteAsync(kafka, 6, ("d", default), (null, ids[3]));
        Assert.Equal(("d", ids[3], ErrorCode.InvalidRequest), Assert.Single(byBoth.Responses.Select(
            topic => (topic.Name, topic.TopicId, topic.ErrorCode))));
        Assert.Equal(
            [true, false, true, true], "abcd".Select(name => kafka.Cluster.Topic($"{name}").Description is not null));
    }

    [Fact]
    public async Task A_topic_is_deleted_by_its_name_or_by_its_id_and_not_by_both_nor_by_nothing()
    {
        await using var kafka = new KafkaHarness();
        Guid a = kafka.Cluster.AddTopic("a", 1).Id;
        Guid b = kafka.Cluster.AddTopic("b", 1).Id;
        DeleteTopicsResponse response = await DeleteAsync(kafka, 6, ("a", a), ("a", b), (null, default), (null, b));
        Assert.Equal(
            [ErrorCode.InvalidRequest, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest, ErrorCode.None],
            response.Responses.Select(topic => topic.ErrorCode));
        Assert.NotNull(kafka.Cluster.Topic("a").Description);
        Assert.Null(kafka.Cluster.Topic("b").Description);
    }

    [Fact]
    public async Task A_topic_that_is_named_twice_gets_no_partitions_and_is_told_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        kafka.Cluster.AddTopic("b", 1);
        var request = new CreatePartitionsRequest
        {
            TimeoutMs = 1_000,
            Topics = [new() { Name = "a", Count = 4 }, new() { Name = "b", Count = 3 }, new() { Name = "a", Count = 5 }],
        };
        CreatePartitionsResponse response = await kafka.Connect().CallAsync<CreatePartitionsResponse>(request, 3);
        Assert.Equal(
            [("a", ErrorCode.InvalidRequest), ("b", ErrorCode.None)], response.Results.Select(topic => (topic.Name, topic.ErrorCode)));
        Assert.Single(kafka.Cluster.Topic("a").Description!.Partitions);
        Assert.Equal(3, kafka.Cluster.Topic("b").Description!.Partitions.Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public async Task A_change_that_may_take_no_time_is_not_made(int timeoutMs)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("old", 1);
        TestConnection connection = kafka.Connect();
        CreateTopicsResponse created = await connection.CallAsync<CreateTopicsResponse>(
            new CreateTopicsRequest
            {
                TimeoutMs = timeoutMs, Topics = [new() { Name = "new", NumPartitions = 1, ReplicationFactor = 1 }],
            }, 7);
        Assert.Equal(ErrorCode.RequestTimedOut, created.Topics[0].ErrorCode);
        DeleteTopicsResponse deleted = await connection.CallAsync<DeleteTopicsResponse>(
            new DeleteTopicsRequest { TimeoutMs = timeoutMs, TopicNames = ["old"] }, 5);
        Assert.Equal(ErrorCode.RequestTimedOut, deleted.Responses[0].ErrorCode);
        CreatePartitionsResponse grown = await connection.CallAsync<CreatePartitionsResponse>(
            new CreatePartitionsRequest { TimeoutMs = timeoutMs, Topics = [new() { Name = "old", Count = 2 }] }, 3);
        Assert.Equal(ErrorCode.RequestTimedOut, grown.Results[0].ErrorCode);
        Assert.Null(kafka.Cluster.Topic("new").Description);
        Assert.Single(kafka.Cluster.Topic("old").Description!.Partitions);
    }

    [Fact]
    public async Task What_is_wrong_with_a_topic_counts_only_where_it_is_not_there_yet()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("old", 1);
        CreateTopicsRequest.CreatableTopic Contradicting(string name) => new()
        {
            Name = name, NumPartitions = 3, ReplicationFactor = 1, Assignments = [new() { PartitionIndex = 0, BrokerIds = [1] }],
        };
        var request = new CreateTopicsRequest
        {
            TimeoutMs = 1_000,
            Topics =
            [
                Contradicting("old"), Contradicting("new"),
                new() { Name = "__cluster_metadata", NumPartitions = 1, ReplicationFactor = 1 },
            ],
        };
        CreateTopicsResponse response = await kafka.Connect().CallAsync<CreateTopicsResponse>(request, 7);
        Assert.Equal(
            [ErrorCode.TopicAlreadyExists, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest],
            response.Topics.Select(topic => topic.ErrorCode));
    }

    private static Task<DeleteTopicsResponse> DeleteAsync(KafkaHarness kafka, short version, params (string? Name, Guid Id)[] topics) =>
        kafka.Connect().CallAsync<DeleteTopicsResponse>(
            new DeleteTopicsRequest
            {
                TimeoutMs = 1_000,
                TopicNames = version >= 6 ? [] : Array.ConvertAll(topics, topic => topic.Name!),
                Topics = version < 6
                    ? []
                    : Array.ConvertAll(topics, topic => new DeleteTopicsRequest.DeleteTopicState { Name = topic.Name, TopicId = topic.Id }),
            },
            version);

    private static IEnumerable<(string?, ErrorCode)> Answers(DeleteTopicsResponse response) =>
        response.Responses.Select(topic => (topic.Name, topic.ErrorCode));
}
