using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.</summary>
public sealed class ConfigTests
{
    private const sbyte Topic = 2;
    private const sbyte Broker = 4;

    [Fact]
    public async Task DescribeConfigs_knows_the_topic_and_this_broker()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var request = new DescribeConfigsRequest
        {
            IncludeSynonyms = true,
            Resources =
            [
                new() { ResourceType = Topic, ResourceName = "topic", ConfigurationKeys = ["retention.ms"] },
                new() { ResourceType = Broker, ResourceName = "1" },
                new() { ResourceType = Broker, ResourceName = "2" },
                new() { ResourceType = Topic, ResourceName = "missing" },
            ],
        };
        DescribeConfigsResponse described = await kafka.Connect().CallAsync<DescribeConfigsResponse>(request, 4);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.UnknownTopicOrPartition],
            described.Results.Select(result => result.ErrorCode));
        DescribeConfigsResponse.DescribeConfigsResourceResult retention = Assert.Single(described.Results[0].Configs);
        Assert.Equal(("5000", (sbyte)1, (sbyte)ConfigType.Long), (retention.Value, retention.ConfigSource, retention.ConfigType));
        Assert.Equal(["retention.ms", "log.retention.ms"], retention.Synonyms.Select(synonym => synonym.Name));
        Assert.Contains(described.Results[1].Configs, config => config.Name == "socket.request.max.bytes" && config.ReadOnly);
    }

    [Fact]
    public async Task AlterConfigs_replaces_the_whole_configuration()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var request = new AlterConfigsRequest
        {
            Resources =
            [
                new() { ResourceType = Topic, ResourceName = "topic", Configs = [new() { Name = "retention.ms", Value = "7000" }] },
            ],
        };
        AlterConfigsResponse response = await kafka.Connect().CallAsync<AlterConfigsResponse>(request, 1);
        Assert.Equal(ErrorCode.None, response.Responses[0].ErrorCode);
        Assert.Equal([("retention.ms", ConfigOperation.Set), ("segment.ms", ConfigOperation.Delete)], Changes(kafka));
    }

    [Fact]
    public async Task IncrementalAlterConfigs_changes_what_it_names_and_no_broker()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var request = new IncrementalAlterConfigsRequest
        {
            Resources =
            [
                new() { ResourceType = Topic, ResourceName = "topic", Configs = [new() { Name = "retention.ms", ConfigOperation = 1 }] },
                new() { ResourceType = Topic, ResourceName = "topic", Configs = [new() { Name = "retention.ms", ConfigOperation = 9 }] },
                new() { ResourceType = Broker, ResourceName = "1", Configs = [new() { Name = "num.partitions", Value = "2" }] },
            ],
        };
        IncrementalAlterConfigsResponse response = await kafka.Connect().CallAsync<IncrementalAlterConfigsResponse>(request, 1);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest],
            response.Responses.Select(resource => resource.ErrorCode));
        Assert.Equal([("retention.ms", ConfigOperation.Delete)], Changes(kafka));
    }

    private static KafkaHarness WithConfiguredTopic()
    {
        var kafka = new KafkaHarness();
        TopicDescription topic = kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Topic("topic").Description = topic with { Configs = new() { ["retention.ms"] = "5000", ["segment.ms"] = "6000" } };
        return kafka;
    }

    private static IEnumerable<(string Key, ConfigOperation Operation)> Changes(KafkaHarness kafka) =>
        kafka.Cluster.Topic("topic").Changes.Select(change => (change.Key, change.Operation));
}
