using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>Brokers behind one address (<c>arus.advertised.single.address</c>): clients see one broker, which does not change.</summary>
public sealed class SingleAddressTests
{
    [Fact]
    public async Task Clients_are_told_one_broker_that_leads_and_keeps_everything_whoever_lives()
    {
        await using KafkaHarness kafka = Start();
        TestConnection connection = Connect(kafka);
        foreach (int[] alive in new[] { new[] { 1, 2, 3 }, [2, 3], [3] })
        {
            kafka.Cluster.Description = kafka.Cluster.Description with
            {
                ControllerId = alive[0],
                Brokers = Array.FindAll(Brokers(), broker => alive.Contains(broker.BrokerId)),
            };
            kafka.Time.Advance(TimeSpan.FromSeconds(1));
            MetadataResponse named = await connection.CallAsync<MetadataResponse>(Messages.Metadata("topic"), 9);
            MetadataResponse all = await connection.CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 9);
            foreach (MetadataResponse response in new[] { named, all })
            {
                MetadataResponse.MetadataBroker only = Assert.Single(response.Brokers);
                Assert.Equal((1, "balancer.example", 4711), (only.NodeId, only.Host, only.Port));
                Assert.Equal(1, response.ControllerId);
                MetadataResponse.MetadataPartition led = response.Topics[0].Partitions[0];
                Assert.Equal((ErrorCode.None, 1), (led.ErrorCode, led.LeaderId));
                Assert.Equal(([1], [1]), (led.ReplicaNodes, led.IsrNodes), SameArrays);
                Assert.Empty(led.OfflineReplicas);
            }

            DescribeTopicPartitionsResponse described = await connection.CallAsync<DescribeTopicPartitionsResponse>(
                new DescribeTopicPartitionsRequest { Topics = [new() { Name = "topic" }], ResponsePartitionLimit = 10 }, 0);
            Assert.Equal((1, 1), (described.Topics[0].Partitions[0].LeaderId, described.Topics[0].Partitions[0].ReplicaNodes.Length));
            DescribeClusterResponse cluster = await connection.CallAsync<DescribeClusterResponse>(
                new DescribeClusterRequest { EndpointType = 1 }, 1);
            Assert.Equal([(1, 4711)], cluster.Brokers.Select(broker => (broker.BrokerId, broker.Port)));
            FindCoordinatorResponse found = await connection.CallAsync<FindCoordinatorResponse>(
                new FindCoordinatorRequest { CoordinatorKeys = ["group"] }, 4);
            Assert.Equal(
                alive.Contains(1) ? (ErrorCode.None, 1, "balancer.example") : (ErrorCode.CoordinatorNotAvailable, -1, ""),
                (found.Coordinators[0].ErrorCode, found.Coordinators[0].NodeId, found.Coordinators[0].Host));
        }
    }

    [Fact]
    public async Task A_partition_without_a_leader_has_none_behind_the_address_either()
    {
        await using KafkaHarness kafka = Start(leader: -1);
        MetadataResponse response = await Connect(kafka).CallAsync<MetadataResponse>(Messages.Metadata("topic"), 9);
        MetadataResponse.MetadataPartition partition = response.Topics[0].Partitions[0];
        Assert.Equal((ErrorCode.LeaderNotAvailable, -1), (partition.ErrorCode, partition.LeaderId));
        Assert.Empty(partition.OfflineReplicas);
        kafka.Cluster.Description = kafka.Cluster.Description with { Brokers = Brokers()[..1] };
        kafka.Time.Advance(TimeSpan.FromSeconds(1));
        response = await Connect(kafka).CallAsync<MetadataResponse>(Messages.Metadata("topic"), 9);
        Assert.Equal([1], response.Topics[0].Partitions[0].OfflineReplicas);
    }

    private static TestConnection Connect(KafkaHarness kafka) =>
        kafka.Connect(listener: KafkaListener.FromConfig(kafka.Cluster.LocalBroker.Config)[0]);

    private static KafkaHarness Start(int leader = 3)
    {
        var kafka = new KafkaHarness(config: ("arus.advertised.single.address", "balancer.example:4711"));
        TopicDescription topic = kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Topic("topic").Description = topic with { Partitions = [new PartitionAssignment(0, leader, 5, [3, 2], [3, 2])] };
        kafka.Cluster.Description = kafka.Cluster.Description with { Brokers = Brokers() };
        return kafka;
    }

    private static BrokerRegistration[] Brokers() =>
    [
        .. Enumerable.Range(1, 3).Select(id => new BrokerRegistration(
            id, $"broker-{id}", [new BrokerEndpoint("PLAINTEXT", "balancer.example", 4711)], null)),
    ];

    private static bool SameArrays((int[], int[]) a, (int[], int[]) b) => a.Item1.SequenceEqual(b.Item1) && a.Item2.SequenceEqual(b.Item2);
}
