using System.Globalization;
using Arus.Testing;
using Confluent.Kafka;

namespace Arus.Compat.Tests;

/// <summary>librdkafka as a client of a cluster: consumers that read in their rack.</summary>
public sealed class ClusterClientTests
{
    private const string Topic = "t";
    private const int Enough = 100;
    private static readonly string[] Racks = ["a", "b", "c"];

    [PostgresFact]
    public async Task A_consumer_reads_in_its_rack_and_at_the_leader_when_that_replica_is_gone()
    {
        await using ServerCluster cluster = await ServerCluster.StartAsync(3, broker =>
        [
            $"--broker.rack={Racks[broker - 1]}",
            "--replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
        ]);
        await cluster.CreateTopicAsync(cluster.BootstrapServers, Topic, [[1, 2, 3]]);
        await using NumberProducer producer = new(cluster.BootstrapServers, Topic);
        using IConsumer<byte[], string> consumer = new ConsumerBuilder<byte[], string>(new ConsumerConfig
        {
            BootstrapServers = cluster.BootstrapServers, GroupId = "reader", EnableAutoCommit = false, ClientRack = "c",
        }).Build();
        consumer.Assign(new Confluent.Kafka.TopicPartitionOffset(Topic, 0, Offset.Beginning));
        long read = 0;
        Read(() => FollowerBytesAsync(cluster, 3).Result > 0);
        await cluster.KillAsync(3);
        long until = read + (2 * Enough);
        Read(() => read >= until);

        void Read(Func<bool> isEnough)
        {
            using var limit = new CancellationTokenSource(ServerCluster.Limit);
            for (long end = read + Enough; read < end || !isEnough(); read++)
                Assert.Equal(read, long.Parse(consumer.Consume(limit.Token).Message.Value, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>What consumers read from the replicas of a broker that it does not lead.</summary>
    private static async Task<double> FollowerBytesAsync(ServerCluster cluster, int broker) =>
        (await cluster.Server(broker).GetAsync("/metrics")).Split('\n')
            .Where(line => line.StartsWith("arus_replication_follower_fetched", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
}
