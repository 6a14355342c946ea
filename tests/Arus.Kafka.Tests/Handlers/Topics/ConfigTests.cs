using Arus.Grains;
using Arus.Protocol;
using Alterable = Arus.Protocol.IncrementalAlterConfigsRequest.AlterableConfig;
using Described = Arus.Protocol.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Arus.Kafka.Tests;

/// <summary>
/// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources. The error codes are those of Apache Kafka 4.4.0.
/// </summary>
public sealed class ConfigTests
{
    private const string Heartbeat = "share.heartbeat.interval.ms";
    private const sbyte Topic = 2;
    private const sbyte Broker = 4;
    private const sbyte Logger = 8;
    private const sbyte Metrics = 16;
    private const sbyte Group = 32;

    [Fact]
    public async Task DescribeConfigs_knows_the_topic_and_this_broker()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        DescribeConfigsResponse described = await DescribeAsync(
            kafka, (Topic, "topic", ["retention.ms"]), (Broker, "1", null), (Broker, "2", null), (Topic, "missing", null));
        Assert.Equal(
            [ErrorCode.None, ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.UnknownTopicOrPartition],
            described.Results.Select(result => result.ErrorCode));
        Described retention = Assert.Single(described.Results[0].Configs);
        Assert.Equal(("5000", (sbyte)1, (sbyte)ConfigType.Long), (retention.Value, retention.ConfigSource, retention.ConfigType));
        Assert.Equal(["retention.ms"], retention.Synonyms.Select(synonym => synonym.Name));
        Assert.Equal(BrokerConfigs.All.Count, described.Results[1].Configs.Length);
        Assert.True(Key(described, 1, "socket.request.max.bytes").ReadOnly);
        Assert.False(Key(described, 1, "message.max.bytes").ReadOnly);
        Assert.Equal("1", Key(described, 1, "node.id").Value);
        Assert.NotNull(Key(described, 1, "log.dirs").Value);
        Assert.True(Key(described, 1, "ssl.keystore.password").IsSensitive);
    }

    [Fact]
    public async Task An_empty_list_of_keys_means_all_of_them()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        DescribeConfigsResponse described = await DescribeAsync(kafka, (Topic, "topic", []), (Group, "g", []), (Metrics, "m", []));
        Assert.Equal([TopicConfigs.All.Count, 21, 3], described.Results.Select(result => result.Configs.Length));
    }

    [Fact]
    public async Task Values_have_the_sources_and_synonyms_that_Kafka_tells()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        await AlterAsync(kafka, (Broker, "", [Set("log.segment.bytes", "2000000")]), (Broker, "1", [Set("log.segment.bytes", "3000000")]));
        DescribeConfigsResponse described = await DescribeAsync(
            kafka, (Topic, "topic", ["segment.bytes", "segment.jitter.ms", "cleanup.policy"]),
            (Broker, "1", ["log.segment.bytes", "node.id"]));
        Assert.Equal(
            [("log.segment.bytes", "3000000", 2), ("log.segment.bytes", "2000000", 3), ("log.segment.bytes", "1073741824", 5)],
            Synonyms(Key(described, 0, "segment.bytes")));
        Assert.Equal(("3000000", 2), (Key(described, 0, "segment.bytes").Value, Key(described, 0, "segment.bytes").ConfigSource));
        Assert.Empty(Synonyms(Key(described, 0, "segment.jitter.ms")));
        Assert.Equal([("log.cleanup.policy", "delete", 5)], Synonyms(Key(described, 0, "cleanup.policy")));
        Assert.Equal(3, Synonyms(Key(described, 1, "log.segment.bytes")).Length);
        Assert.Equal([("node.id", "1", 4)], Synonyms(Key(described, 1, "node.id")));
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
                new() { ResourceType = Group, ResourceName = "g", Configs = [new() { Name = Heartbeat, Value = "6000" }] },
                new() { ResourceType = Group, ResourceName = "g", Configs = [] },
            ],
        };
        AlterConfigsResponse response = await kafka.Connect().CallAsync<AlterConfigsResponse>(request, 1);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest], response.Responses.Select(result => result.ErrorCode));
        Assert.Equal([("retention.ms", ConfigOperation.Set), ("segment.ms", ConfigOperation.Delete)], Changes(kafka));

        await AlterAsync(kafka, (Group, "g", [Set(Heartbeat, "6000"), Set("share.session.timeout.ms", "50000")]));
        request.Resources = [request.Resources[1]];
        Assert.Equal(
            ErrorCode.None, (await kafka.Connect().CallAsync<AlterConfigsResponse>(request, 1)).Responses[0].ErrorCode);
        DescribeConfigsResponse described = await DescribeAsync(kafka, (Group, "g", null));
        Assert.Equal([Heartbeat], described.Results[0].Configs.Where(key => key.ConfigSource == 8).Select(key => key.Name));
    }

    [Fact]
    public async Task A_resource_named_twice_is_refused_and_the_others_are_changed()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        ErrorCode[] errors = await AlterAsync(
            kafka, (Topic, "topic", [Set("retention.ms", "1")]), (Group, "g", [Set(Heartbeat, "6000")]),
            (Topic, "topic", [Set("segment.ms", "1")]));
        Assert.Equal([ErrorCode.InvalidRequest, ErrorCode.None, ErrorCode.InvalidRequest], errors);
        Assert.Empty(Changes(kafka));
    }

    [Fact]
    public async Task As_many_resources_as_a_request_holds_are_looked_at_once_each()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        ErrorCode[] errors = await AlterAsync(
            kafka, [.. Enumerable.Range(0, 90_000).Select(i => ((sbyte)0, $"{i}", Array.Empty<Alterable>()))]);
        Assert.Equal(90_000, errors.Count(error => error == ErrorCode.InvalidRequest));
    }

    [Theory]
    [InlineData(Topic, "", "retention.ms", "1", ErrorCode.InvalidRequest)]
    [InlineData(Topic, "a b", "retention.ms", "x", ErrorCode.InvalidTopicException)]
    [InlineData(Topic, "a b", "retention.ms", null, ErrorCode.InvalidRequest)]
    [InlineData(Topic, "topic", "retention.ms", null, ErrorCode.InvalidRequest)]
    [InlineData(Broker, "1", "log.retention.ms", "x", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "1", "num.partitions", "2", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "1", "ssl.keystore.location", "x", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "1", "listener.name.plaintext.ssl.keystore.location", "x", ErrorCode.None)]
    [InlineData(Broker, "", "listener.name.plaintext.ssl.keystore.location", "x", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "", "listeners", "PLAINTEXT://:1", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "2", "log.retention.ms", "1000", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "x", "log.retention.ms", "1000", ErrorCode.InvalidRequest)]
    [InlineData(Broker, "1", "no.such.key", "1", ErrorCode.InvalidConfig)]
    [InlineData(Broker, "1", "min.insync.replicas", "1", ErrorCode.InvalidConfig)]
    [InlineData(Broker, "1", "background.threads", "20", ErrorCode.None)]
    [InlineData(Logger, "1", "root", "DEBUG", ErrorCode.None)]
    [InlineData(Logger, "1", "root", "LOUD", ErrorCode.InvalidConfig)]
    [InlineData(Logger, "1", "no.such.logger", "INFO", ErrorCode.InvalidConfig)]
    [InlineData(Logger, "2", "root", "INFO", ErrorCode.InvalidRequest)]
    [InlineData(Logger, "", "root", "INFO", ErrorCode.InvalidRequest)]
    [InlineData(Group, "", "consumer.session.timeout.ms", "50000", ErrorCode.InvalidRequest)]
    [InlineData(Group, "g", "consumer.session.timeout.ms", "50000", ErrorCode.None)]
    [InlineData(Group, "g", "consumer.session.timeout.ms", "44999", ErrorCode.InvalidConfig)]
    [InlineData(Group, "g", "consumer.session.timeout.ms", "60001", ErrorCode.InvalidConfig)]
    [InlineData(Group, "g", "streams.num.standby.replicas", "3", ErrorCode.InvalidConfig)]
    [InlineData(Group, "g", "share.auto.offset.reset", "x", ErrorCode.InvalidConfig)]
    [InlineData(Group, "g", "share.auto.offset.reset", "by_duration:P1DT1H", ErrorCode.None)]
    [InlineData(Group, "g", "no.such.key", "1", ErrorCode.InvalidConfig)]
    [InlineData(Metrics, "", "interval.ms", "1000", ErrorCode.InvalidRequest)]
    [InlineData(Metrics, "m", "interval.ms", "5", ErrorCode.InvalidRequest)]
    [InlineData(Metrics, "m", "match", "who=x", ErrorCode.InvalidConfig)]
    [InlineData(Metrics, "m", "match", "client_id=x.*", ErrorCode.None)]
    [InlineData(Metrics, "m", "no.such.key", "1", ErrorCode.InvalidRequest)]
    [InlineData(0, "x", "a", "b", ErrorCode.InvalidRequest)]
    [InlineData(64, "x", "a", "b", ErrorCode.InvalidRequest)]
    public async Task A_change_is_accepted_or_refused_as_by_Kafka(sbyte type, string name, string key, string? value, ErrorCode error)
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        Assert.Equal([error], await AlterAsync(kafka, (type, name, [Set(key, value)])));
    }

    [Fact]
    public async Task An_unknown_operation_is_refused_as_by_Kafka()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var change = new Alterable { Name = "retention.ms", ConfigOperation = 9, Value = "1" };
        ErrorCode[] errors = await AlterAsync(kafka, (Topic, "topic", [change]), (Broker, "1", [change]), (Logger, "1", [change]));
        Assert.Equal([ErrorCode.UnknownServerError, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest], errors);
        Assert.Equal([ErrorCode.InvalidRequest], await AlterAsync(kafka, (Topic, "topic", [Set("retention.ms", "1"), change])));
    }

    [Fact]
    public async Task That_a_key_is_no_list_is_told_before_that_the_name_is_none()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var change = new Alterable { Name = "no.such", ConfigOperation = 3, Value = "1" };
        Assert.Equal(
            [ErrorCode.InvalidConfig, ErrorCode.InvalidTopicException],
            await AlterAsync(kafka, (Topic, ".", [change]), (Topic, "..", [Set("no.such", "1")])));
    }

    [Fact]
    public async Task Dynamic_values_of_brokers_are_kept_told_and_deleted()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        await AlterAsync(kafka, (Broker, "", [Set("message.max.bytes", "+2000")]));
        Described described = Key(await DescribeAsync(kafka, (Broker, "", null)), 0, "message.max.bytes");
        Assert.Equal(("2000", 3), (described.Value, described.ConfigSource));
        await AlterAsync(kafka, (Broker, "", [new Alterable { Name = "message.max.bytes", ConfigOperation = 1 }]));
        Assert.Empty((await DescribeAsync(kafka, (Broker, "", null))).Results[0].Configs);
    }

    [Fact]
    public async Task What_is_only_validated_changes_nothing()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        var request = new IncrementalAlterConfigsRequest
        {
            ValidateOnly = true,
            Resources = [new() { ResourceType = Broker, ResourceName = "", Configs = [Set("message.max.bytes", "2000")] }],
        };
        await kafka.Connect().CallAsync<IncrementalAlterConfigsResponse>(request, 1);
        Assert.Empty((await DescribeAsync(kafka, (Broker, "", null))).Results[0].Configs);
    }

    [Fact]
    public async Task ListConfigResources_lists_what_has_configuration_by_type()
    {
        await using KafkaHarness kafka = WithConfiguredTopic();
        await AlterAsync(kafka, (Group, "g", [Set(Heartbeat, "6000")]), (Metrics, "m", [Set("interval.ms", "1000")]));
        Assert.Equal(
            ["16 m", "2 topic", "32 g", "4 1", "4 2", "8 1", "8 2"],
            (await ListAsync([])).ConfigResources
                .Select(found => $"{found.ResourceType} {found.ResourceName}").Order(StringComparer.Ordinal));
        Assert.Equal("g", Assert.Single((await ListAsync([Group])).ConfigResources).ResourceName);
        Assert.Equal("m", Assert.Single((await ListAsync([], version: 0)).ConfigResources).ResourceName);
        Assert.Equal(ErrorCode.UnsupportedVersion, (await ListAsync([99])).ErrorCode);

        Task<ListConfigResourcesResponse> ListAsync(sbyte[] types, short version = 1) =>
            kafka.Connect().CallAsync<ListConfigResourcesResponse>(new ListConfigResourcesRequest { ResourceTypes = types }, version);
    }

    private static KafkaHarness WithConfiguredTopic()
    {
        var kafka = new KafkaHarness();
        TopicDescription topic = kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Topic("topic").Description = topic with { Configs = new() { ["retention.ms"] = "5000", ["segment.ms"] = "6000" } };
        return kafka;
    }

    private static Alterable Set(string name, string? value) => new() { Name = name, Value = value };

    private static Task<DescribeConfigsResponse> DescribeAsync(
        KafkaHarness kafka, params (sbyte Type, string Name, string[]? Keys)[] resources) =>
        kafka.Connect().CallAsync<DescribeConfigsResponse>(
            new DescribeConfigsRequest
            {
                IncludeSynonyms = true,
                Resources = Array.ConvertAll(resources, resource => new DescribeConfigsRequest.DescribeConfigsResource
                {
                    ResourceType = resource.Type, ResourceName = resource.Name, ConfigurationKeys = resource.Keys,
                }),
            },
            4);

    private static async Task<ErrorCode[]> AlterAsync(KafkaHarness kafka, params (sbyte Type, string Name, Alterable[] Configs)[] resources)
    {
        var request = new IncrementalAlterConfigsRequest
        {
            Resources = Array.ConvertAll(resources, resource => new IncrementalAlterConfigsRequest.AlterConfigsResource
            {
                ResourceType = resource.Type, ResourceName = resource.Name, Configs = resource.Configs,
            }),
        };
        var response = await kafka.Connect().CallAsync<IncrementalAlterConfigsResponse>(request, 1);
        return Array.ConvertAll(response.Responses, result => result.ErrorCode);
    }

    private static Described Key(DescribeConfigsResponse response, int result, string name) =>
        response.Results[result].Configs.Single(key => key.Name == name);

    private static (string, string?, int)[] Synonyms(Described described) =>
        [.. described.Synonyms.Select(synonym => (synonym.Name, synonym.Value, (int)synonym.Source))];

    private static IEnumerable<(string Key, ConfigOperation Operation)> Changes(KafkaHarness kafka) =>
        kafka.Cluster.Topic("topic").Changes.Select(change => (change.Key, change.Operation));
}
