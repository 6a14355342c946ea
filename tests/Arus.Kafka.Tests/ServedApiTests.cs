using System.Buffers.Binary;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>The APIs and versions that the listener promises, and what a client gets that asks for others.</summary>
public sealed class ServedApiTests
{
    /// <summary>
    /// As an Apache Kafka 4.4 broker serves them to clients. Produce is named from 0 up and served from 3 up.
    /// </summary>
    private static readonly Dictionary<ApiKey, (int Min, int Max)> Served = new()
    {
        [ApiKey.Produce] = (0, 13),
        [ApiKey.Fetch] = (4, 18),
        [ApiKey.ListOffsets] = (1, 11),
        [ApiKey.Metadata] = (0, 13),
        [ApiKey.ApiVersions] = (0, 5),
        [ApiKey.OffsetForLeaderEpoch] = (2, 4),
        [ApiKey.DescribeTopicPartitions] = (0, 0),
        [ApiKey.OffsetCommit] = (2, 10),
        [ApiKey.OffsetFetch] = (1, 10),
        [ApiKey.TxnOffsetCommit] = (0, 6),
        [ApiKey.FindCoordinator] = (0, 6),
        [ApiKey.JoinGroup] = (0, 9),
        [ApiKey.Heartbeat] = (0, 4),
        [ApiKey.LeaveGroup] = (0, 5),
        [ApiKey.SyncGroup] = (0, 5),
        [ApiKey.DescribeGroups] = (0, 6),
        [ApiKey.ListGroups] = (0, 5),
        [ApiKey.DeleteGroups] = (0, 3),
        [ApiKey.OffsetDelete] = (0, 0),
        [ApiKey.InitProducerId] = (0, 5),
        [ApiKey.WriteTxnMarkers] = (1, 2),
        [ApiKey.AddPartitionsToTxn] = (0, 5),
        [ApiKey.AddOffsetsToTxn] = (0, 4),
        [ApiKey.EndTxn] = (0, 5),
        [ApiKey.DescribeTransactions] = (0, 0),
        [ApiKey.ListTransactions] = (0, 2),
        [ApiKey.CreateTopics] = (2, 7),
        [ApiKey.DeleteTopics] = (1, 6),
        [ApiKey.DeleteRecords] = (0, 2),
        [ApiKey.DescribeConfigs] = (1, 4),
        [ApiKey.AlterConfigs] = (0, 2),
        [ApiKey.CreatePartitions] = (0, 3),
        [ApiKey.IncrementalAlterConfigs] = (0, 1),
        [ApiKey.ListConfigResources] = (0, 1),
        [ApiKey.DescribeLogDirs] = (1, 5),
        [ApiKey.UpdateFeatures] = (0, 2),
        [ApiKey.DescribeProducers] = (0, 0),
        [ApiKey.DescribeCluster] = (0, 2),
        [ApiKey.ElectLeaders] = (0, 2),
        [ApiKey.AlterPartitionReassignments] = (0, 1),
        [ApiKey.ListPartitionReassignments] = (0, 0),
        [ApiKey.AlterReplicaLogDirs] = (1, 2),
        [ApiKey.DescribeQuorum] = (0, 2),
        [ApiKey.UnregisterBroker] = (0, 0),
    };

    [Fact]
    public async Task ApiVersions_names_what_isServed_with_the_pins_that_clients_need()
    {
        await using var kafka = new KafkaHarness();
        ApiVersionsResponse response = await kafka.Connect().CallAsync<ApiVersionsResponse>(
            new ApiVersionsRequest { ClientSoftwareName = "librdkafka", ClientSoftwareVersion = "2.0.2" }, 3);
        Dictionary<ApiKey, (int Min, int Max)> served = response.ApiKeys.ToDictionary(
            api => (ApiKey)api.ApiKey, api => ((int)api.MinVersion, (int)api.MaxVersion));
        Assert.Equal((0, 13), served[ApiKey.Produce]);
        Assert.Equal((4, 18), served[ApiKey.Fetch]);
        Assert.Equal((0, 9), served[ApiKey.JoinGroup]);

        // Versions that clients send without asking, by the table of the protocol notes.
        (ApiKey, int)[] hardCoded =
        [
            (ApiKey.ApiVersions, 0), (ApiKey.ListOffsets, 1), (ApiKey.FindCoordinator, 0), (ApiKey.SyncGroup, 0), (ApiKey.Heartbeat, 0),
            (ApiKey.LeaveGroup, 0), (ApiKey.OffsetCommit, 2), (ApiKey.OffsetFetch, 1), (ApiKey.Fetch, 4), (ApiKey.Fetch, 10),
            (ApiKey.Produce, 3), (ApiKey.Produce, 7), (ApiKey.InitProducerId, 0), (ApiKey.OffsetCommit, 1),
        ];
        Assert.All(hardCoded, pin => Assert.InRange(pin.Item2, served[pin.Item1].Min, served[pin.Item1].Max));
        Assert.Empty(response.SupportedFeatures);
        Assert.DoesNotContain(ApiKey.SaslHandshake, served.Keys);
    }

    [Fact]
    public async Task Each_API_is_named_with_its_versions()
    {
        await using var kafka = new KafkaHarness();
        ApiVersionsResponse response = await kafka.Connect().CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        Dictionary<ApiKey, (int Min, int Max)> named = response.ApiKeys.ToDictionary(
            api => (ApiKey)api.ApiKey, api => ((int)api.MinVersion, (int)api.MaxVersion));
        Assert.Equal(Served.Keys.Order(), named.Keys.Order());
        Assert.All(Served, api => Assert.Equal((api.Key, api.Value.Max), (api.Key, named[api.Key].Max)));

        // Older ones are served besides where some client sends them without asking.
        Assert.All(Served, api => Assert.True(named[api.Key].Min <= api.Value.Min, $"{api.Key} from {named[api.Key].Min}"));
    }

    [Fact]
    public async Task Each_version_of_each_API_is_answered_even_if_the_request_says_nothing()
    {
        await using var kafka = new KafkaHarness();
        foreach ((ApiKey api, (int min, int max)) in Served)
        {
            for (int version = api == ApiKey.Produce ? 3 : min; version <= max; version++)
            {
                TestConnection connection = kafka.Connect();
                int correlation = await connection.SendAsync(Empty(api), (short)version);
                byte[]? frame = await connection.ReceiveFrameAsync();
                Assert.True(frame is not null, $"{api} v{version} ends the connection: {string.Join(' ', kafka.Complaints)}");
                Assert.Equal(correlation, BinaryPrimitives.ReadInt32BigEndian(frame));
            }
        }
    }

    [Fact]
    public async Task A_version_that_is_notServed_ends_the_connection_with_a_reason()
    {
        await using var kafka = new KafkaHarness();
        foreach ((ApiKey api, (int min, int max)) in Served.Where(api => api.Key != ApiKey.ApiVersions))
        {
            // The lines about broken connections are limited in number.
            kafka.Time.Advance(LineLimit.Interval);
            TestConnection connection = kafka.Connect();
            byte[] frame = TestConnection.Encode(Empty(api), (short)max, 1);
            BinaryPrimitives.WriteInt16BigEndian(frame.AsSpan(6), (short)(max + 1));
            await connection.SendRawAsync(frame);
            Assert.Null(await connection.ReceiveFrameAsync());
            Assert.Contains($"{api} v{max + 1} is not served; versions", kafka.Complaints[^1], StringComparison.Ordinal);
            Assert.True(min <= max);
        }
    }

    [Theory]
    [InlineData("test-cluster", 1, ErrorCode.None)]
    [InlineData(null, -1, ErrorCode.None)]
    [InlineData("another", 1, ErrorCode.RebootstrapRequired)]
    [InlineData("test-cluster", 2, ErrorCode.RebootstrapRequired)]
    [InlineData("test-cluster", 99, ErrorCode.RebootstrapRequired)]
    [InlineData("test-cluster", -1, ErrorCode.InvalidRequest)]
    [InlineData(null, 1, ErrorCode.InvalidRequest)]
    public async Task A_client_learns_that_it_has_come_to_another_broker_than_it_believes(string? clusterId, int nodeId, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        ApiVersionsResponse response = await kafka.Connect().CallAsync<ApiVersionsResponse>(
            new ApiVersionsRequest { ClientSoftwareName = "c", ClientSoftwareVersion = "1", ClusterId = clusterId, NodeId = nodeId }, 5);
        Assert.Equal((expected, expected == ErrorCode.None), (response.ErrorCode, response.ApiKeys.Length > 0));
    }

    private static IApiMessage Empty(ApiKey api)
    {
        Type type = typeof(ProduceRequest).Assembly.GetType($"Arus.Protocol.{api}Request", throwOnError: true)!;
        var request = (IApiMessage)Activator.CreateInstance(type)!;
        switch (request)
        {
            case ProduceRequest produce:
                produce.Acks = -1;
                break;
            case MetadataRequest metadata:
                metadata.Topics = [];
                break;
            case OffsetFetchRequest offsets:
                offsets.Topics = [];
                break;
        }

        return request;
    }
}
