using Arus.Protocol;

namespace Arus.Kafka.Tests;

public sealed class CreateTopicsTests
{
    [Fact]
    public async Task CreateTopics_creates_each_by_itself_and_tells_the_configuration()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("old", 1);
        var request = new CreateTopicsRequest
        {
            Topics =
            [
                new()
                {
                    Name = "new", NumPartitions = 3, ReplicationFactor = 1,
                    // Of a key named twice Kafka takes the last value.
                    Configs = [new() { Name = "retention.ms", Value = "5" }, new() { Name = "retention.ms", Value = "1000" }],
                },
                new() { Name = "old", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "bad name", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "twice", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "twice", NumPartitions = 1, ReplicationFactor = 1 },
            ],
        };
        CreateTopicsResponse response = await kafka.Connect().CallAsync<CreateTopicsResponse>(request, 7);
        Assert.Equal(
            [
                ErrorCode.None, ErrorCode.TopicAlreadyExists, ErrorCode.InvalidTopicException, ErrorCode.InvalidRequest,
            ],
            response.Topics.Select(topic => topic.ErrorCode));
        CreateTopicsResponse.CreatableTopicConfigs retention = response.Topics[0].Configs!.Single(config => config.Name == "retention.ms");
        Assert.Equal(("1000", (sbyte)1), (retention.Value, retention.ConfigSource));
        Assert.All(response.Topics[0].Configs!, config => Assert.InRange(config.ConfigSource, 1, 5));
        Assert.Equal(3, kafka.Cluster.Topic("new").Description!.Partitions.Length);
    }
}
