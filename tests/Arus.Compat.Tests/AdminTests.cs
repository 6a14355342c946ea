using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Compat.Tests;

/// <summary>Topics and the cluster by librdkafka's admin client.</summary>
[Collection(CompatCollection.Name)]
public sealed class AdminTests(CompatBroker broker)
{
    [Fact]
    public async Task A_topic_that_exists_is_not_created_again()
    {
        string topic = await broker.CreateTopicAsync("twice");
        var refused = await Assert.ThrowsAsync<CreateTopicsException>(() => broker.Admin.CreateTopicsAsync(
            [new TopicSpecification { Name = topic, NumPartitions = 1, ReplicationFactor = 1 }]).WaitAsync(CompatBroker.Limit));
        Assert.Equal(Confluent.Kafka.ErrorCode.TopicAlreadyExists, refused.Results[0].Error.Code);
    }

    [Fact]
    public async Task Configs_are_altered_and_wrong_values_refused()
    {
        string topic = await broker.CreateTopicAsync("configs");
        await AlterAsync(topic, "retention.ms", "123456");
        ConfigEntryResult entry = await DescribeAsync(topic, "retention.ms");
        Assert.Equal(("123456", false), (entry.Value, entry.IsDefault));
        Assert.Equal(Confluent.Kafka.Admin.ConfigSource.DynamicTopicConfig, entry.Source);

        var wrong = await Assert.ThrowsAsync<AlterConfigsException>(() => AlterAsync(topic, "retention.ms", "soon"));
        Assert.Equal(Confluent.Kafka.ErrorCode.InvalidConfig, wrong.Results[0].Error.Code);
        Assert.Equal("123456", (await DescribeAsync(topic, "retention.ms")).Value);
    }

    [Fact]
    public async Task Configs_are_altered_one_by_one()
    {
        string topic = await broker.CreateTopicAsync("increments");
        await IncrementAsync(topic, "retention.ms", "123456", AlterConfigOpType.Set);
        await IncrementAsync(topic, "segment.bytes", "2097152", AlterConfigOpType.Set);
        await IncrementAsync(topic, "cleanup.policy", "compact", AlterConfigOpType.Append);
        await IncrementAsync(topic, "retention.ms", "", AlterConfigOpType.Delete);
        Assert.Equal(("604800000", true), await ValueAsync("retention.ms"));
        Assert.Equal(("2097152", false), await ValueAsync("segment.bytes"));
        Assert.Equal(("delete,compact", false), await ValueAsync("cleanup.policy"));

        async Task<(string, bool)> ValueAsync(string name)
        {
            ConfigEntryResult entry = await DescribeAsync(topic, name);
            return (entry.Value, entry.IsDefault);
        }
    }

    [Fact]
    public async Task Partitions_are_added()
    {
        string topic = await broker.CreateTopicAsync("more");
        await IncreaseAsync(6);
        Assert.Equal(6, Assert.Single(broker.Admin.GetMetadata(topic, CompatBroker.Limit).Topics).Partitions.Count);
        await broker.ProduceAsync(topic, 0, 10, partition: 5);
        var refused = await Assert.ThrowsAsync<CreatePartitionsException>(() => IncreaseAsync(5));
        Assert.Equal(Confluent.Kafka.ErrorCode.InvalidPartitions, refused.Results[0].Error.Code);

        Task IncreaseAsync(int count) => broker.Admin.CreatePartitionsAsync(
            [new PartitionsSpecification { Topic = topic, IncreaseTo = count }]).WaitAsync(CompatBroker.Limit);
    }

    [Fact]
    public async Task Records_are_deleted()
    {
        string topic = await broker.CreateTopicAsync("records", partitions: 1);
        await broker.ProduceAsync(topic, 0, 20);
        List<DeleteRecordsResult> deleted =
            await broker.Admin.DeleteRecordsAsync([new TopicPartitionOffset(topic, 0, 7)]).WaitAsync(CompatBroker.Limit);
        Assert.Equal(7, deleted[0].Offset.Value);
        Assert.Equal((7, 20), (await OffsetAsync(OffsetSpec.Earliest()), await OffsetAsync(OffsetSpec.Latest())));

        async Task<long> OffsetAsync(OffsetSpec spec)
        {
            ListOffsetsResult found = await broker.Admin.ListOffsetsAsync(
                [new TopicPartitionOffsetSpec { TopicPartition = new Confluent.Kafka.TopicPartition(topic, 0), OffsetSpec = spec }])
                .WaitAsync(CompatBroker.Limit);
            return found.ResultInfos[0].TopicPartitionOffsetError.Offset.Value;
        }
    }

    [Fact]
    public async Task A_topic_is_described_and_deleted()
    {
        string topic = await broker.CreateTopicAsync("short-lived");
        TopicDescription described = Assert.Single((await DescribeTopicAsync()).TopicDescriptions);
        Assert.Equal((topic, 4), (described.Name, described.Partitions.Count));
        Assert.All(described.Partitions, partition => Assert.Equal((1, 1), (partition.Leader.Id, partition.Replicas.Count)));

        await broker.Admin.DeleteTopicsAsync([topic]).WaitAsync(CompatBroker.Limit);
        Assert.DoesNotContain(broker.Admin.GetMetadata(CompatBroker.Limit).Topics, left => left.Topic == topic);
        var unknown = await Assert.ThrowsAsync<DescribeTopicsException>(DescribeTopicAsync);
        Assert.Equal(Confluent.Kafka.ErrorCode.UnknownTopicOrPart, unknown.Results.TopicDescriptions[0].Error.Code);

        Task<DescribeTopicsResult> DescribeTopicAsync() =>
            broker.Admin.DescribeTopicsAsync(TopicCollection.OfTopicNames([topic])).WaitAsync(CompatBroker.Limit);
    }

    [Fact]
    public async Task The_cluster_is_described()
    {
        DescribeClusterResult cluster = await broker.Admin.DescribeClusterAsync().WaitAsync(CompatBroker.Limit);
        Assert.Equal(1, Assert.Single(cluster.Nodes).Id);
        Assert.Equal(cluster.Nodes[0].Id, cluster.Controller.Id);
        Assert.NotEmpty(cluster.ClusterId);
    }

    private Task AlterAsync(string topic, string name, string value) => broker.Admin.AlterConfigsAsync(
        new() { [Topic(topic)] = [new ConfigEntry { Name = name, Value = value }] }).WaitAsync(CompatBroker.Limit);

    private Task IncrementAsync(string topic, string name, string value, AlterConfigOpType operation)
    {
        var entry = new ConfigEntry { Name = name, Value = value, IncrementalOperation = operation };
        return broker.Admin.IncrementalAlterConfigsAsync(new() { [Topic(topic)] = [entry] }).WaitAsync(CompatBroker.Limit);
    }

    private async Task<ConfigEntryResult> DescribeAsync(string topic, string name) =>
        (await broker.Admin.DescribeConfigsAsync([Topic(topic)]).WaitAsync(CompatBroker.Limit))[0].Entries[name];

    private static ConfigResource Topic(string name) => new() { Type = ResourceType.Topic, Name = name };
}
