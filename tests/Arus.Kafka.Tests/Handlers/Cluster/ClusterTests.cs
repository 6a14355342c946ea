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
}
