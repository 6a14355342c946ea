using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>DescribeCluster and DescribeLogDirs.</summary>
public sealed class ClusterTests
{
    [Fact]
    public async Task DescribeCluster_names_all_brokers()
    {
        await using var kafka = new KafkaHarness();
        DescribeClusterResponse response = await kafka.Connect().CallAsync<DescribeClusterResponse>(new DescribeClusterRequest(), 1);
        Assert.Equal([1, 2], response.Brokers.Select(broker => broker.BrokerId));
    }

    [Theory]
    [InlineData(2, ErrorCode.MismatchedEndpointType)]
    [InlineData(0, ErrorCode.UnsupportedEndpointType)]
    [InlineData(-1, ErrorCode.UnsupportedEndpointType)]
    public async Task DescribeCluster_knows_brokers_alone(sbyte type, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        var request = new DescribeClusterRequest { EndpointType = type };
        Assert.Equal(expected, (await kafka.Connect().CallAsync<DescribeClusterResponse>(request, 1)).ErrorCode);
    }

    [Fact]
    public async Task A_feature_that_is_not_there_is_not_updated()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        var request = new UpdateFeaturesRequest { FeatureUpdates = [new() { Feature = "no.such", MaxVersionLevel = 1 }] };
        for (short version = 0; version <= 2; version++)
        {
            UpdateFeaturesResponse response = await connection.CallAsync<UpdateFeaturesResponse>(request, version);
            Assert.Equal(ErrorCode.InvalidUpdateVersion, response.ErrorCode);
            Assert.Contains("'no.such'", response.ErrorMessage, StringComparison.Ordinal);
        }

        Assert.Equal(ErrorCode.None, (await connection.CallAsync<UpdateFeaturesResponse>(new UpdateFeaturesRequest(), 2)).ErrorCode);
    }

    [Fact]
    public async Task DescribeLogDirs_answers_for_the_partitions_that_this_broker_leads()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        byte[] batch = Messages.Batch("x");
        kafka.Cluster.Partition("topic", 0).Put(batch);
        DescribeLogDirsResponse response = await kafka.Connect().CallAsync<DescribeLogDirsResponse>(
            new DescribeLogDirsRequest { Topics = null }, 4);
        Assert.Equal(
            [(0, (long)batch.Length)],
            response.Results[0].Topics[0].Partitions.Select(partition => (partition.PartitionIndex, partition.PartitionSize)));
    }

    [Fact]
    public async Task Brokers_stand_for_a_quorum_of_controllers()
    {
        await using var kafka = new KafkaHarness();
        DescribeQuorumResponse response = await kafka.Connect().CallAsync<DescribeQuorumResponse>(
            new DescribeQuorumRequest
            {
                Topics = [new() { TopicName = "__cluster_metadata", Partitions = [new(), new() { PartitionIndex = 1 }] }],
            }, 2);
        DescribeQuorumResponse.PartitionData quorum = response.Topics[0].Partitions[0];
        Assert.Equal((ErrorCode.None, 1), (quorum.ErrorCode, quorum.LeaderId));
        Assert.Equal([1, 2], quorum.CurrentVoters.Select(voter => voter.ReplicaId));
        Assert.Equal(["one.example", "two.example"], response.Nodes.Select(node => node.Listeners[0].Host));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, response.Topics[0].Partitions[1].ErrorCode);
    }

    [Fact]
    public async Task A_refusal_to_forget_a_broker_says_why()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        foreach ((int id, ErrorCode expected) in new[] { (7, ErrorCode.BrokerIdNotRegistered), (1, ErrorCode.InvalidRequest) })
        {
            UnregisterBrokerResponse response = await connection.CallAsync<UnregisterBrokerResponse>(
                new UnregisterBrokerRequest { BrokerId = id }, 0);
            Assert.Equal((expected, $"Not broker {id}."), (response.ErrorCode, response.ErrorMessage));
        }
    }

    [Fact]
    public async Task A_broker_has_no_other_directory()
    {
        await using var kafka = new KafkaHarness();
        string own = Path.GetFullPath(kafka.Cluster.LocalBroker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
        AlterReplicaLogDirsResponse response = await kafka.Connect().CallAsync<AlterReplicaLogDirsResponse>(
            new AlterReplicaLogDirsRequest
            {
                Dirs =
                [
                    new() { Path = "/other", Topics = [new() { Name = "topic", Partitions = [0, 1] }] },
                    new() { Path = own, Topics = [new() { Name = "topic", Partitions = [2] }] },
                ],
            }, 2);
        Assert.Equal(
            [(0, ErrorCode.LogDirNotFound), (1, ErrorCode.LogDirNotFound), (2, ErrorCode.None)],
            response.Results.SelectMany(topic => topic.Partitions).Select(result => (result.PartitionIndex, result.ErrorCode)));
    }

    [Fact]
    public async Task DescribeLogDirs_answers_for_the_replicas_that_follow_others_too()
    {
        await using var kafka = new KafkaHarness(replicas: new Replicas(
            new LocalReplica(new TopicPartition("a", 0), 100, 0), new LocalReplica(new TopicPartition("a", 2), 70, 3),
            new LocalReplica(new TopicPartition("b", 1), 50, 0)));
        DescribeLogDirsResponse all = await DescribeAsync(null);
        Assert.Equal([("a", 0, 100, 0), ("a", 2, 70, 3), ("b", 1, 50, 0)], Rows(all));
        Assert.True(all.Results[0].TotalBytes >= all.Results[0].UsableBytes);
        Assert.False(all.Results[0].IsCordoned);
        Assert.Equal([("a", 2, 70, 3)], Rows(await DescribeAsync([new() { Topic = "a", Partitions = [1, 2] }])));

        Task<DescribeLogDirsResponse> DescribeAsync(DescribeLogDirsRequest.DescribableLogDirTopic[]? topics) =>
            kafka.Connect().CallAsync<DescribeLogDirsResponse>(new DescribeLogDirsRequest { Topics = topics }, 5);

        static (string, int, long, long)[] Rows(DescribeLogDirsResponse response) =>
        [
            .. response.Results[0].Topics.SelectMany(topic => topic.Partitions.Select(
                partition => (topic.Name, partition.PartitionIndex, partition.PartitionSize, partition.OffsetLag))),
        ];
    }

    private sealed class Replicas(params LocalReplica[] replicas) : ILocalReplicas
    {
        public IReadOnlyList<LocalReplica> List() => replicas;
    }
}
