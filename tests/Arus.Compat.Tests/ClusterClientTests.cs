using System.Diagnostics;
using System.Globalization;
using System.Text;
using Arus.Testing;
using Confluent.Kafka;

namespace Arus.Compat.Tests;

/// <summary>librdkafka as a client of a cluster: consumers that read in their rack, and clients that know a load balancer only.</summary>
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

    [PostgresFact]
    public async Task Behind_one_address_clients_go_on_when_a_broker_dies()
    {
        await using var balancer = new TcpBalancer();
        string address = $"127.0.0.1:{balancer.Port}";
        await using ServerCluster cluster = await ServerCluster.StartAsync(3, _ => [$"--arus.advertised.single.address={address}"]);
        balancer.Serve(cluster.KafkaPorts);
        await cluster.CreateTopicAsync(address, Topic, [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
        using (IAdminClient admin = new AdminClientBuilder(new ClientConfig { BootstrapServers = address }).Build())
        {
            Metadata metadata = admin.GetMetadata(ServerCluster.Limit);
            Assert.Equal([(1, balancer.Port)], metadata.Brokers.Select(broker => (broker.BrokerId, broker.Port)));
        }

        await using NumberProducer producer = new(address, Topic);
        await using GroupReader reader = new(address, Topic);
        foreach (int broker in new[] { 2, 1 })
        {
            await GoesOnAsync(producer, reader);
            await cluster.KillAsync(broker);
            await GoesOnAsync(producer, reader);
            await cluster.StartAsync(broker);
        }

        await producer.StopAsync();
        await ReachAsync(() => reader.Seen >= producer.Delivered);
        Assert.All(balancer.Connections, count => Assert.True(count > 0));

        // Once each, and in their order: the producer is idempotent. Another client finds the same.
        string[] lines = await KcatAsync(address);
        Assert.Equal(producer.Delivered, lines.Length);
        Assert.Equal(
            Enumerable.Range(0, lines.Length).Select(i => (long)i),
            lines.Select(line => long.Parse(line.AsSpan(line.IndexOf(' ') + 1), CultureInfo.InvariantCulture)).Order());
        foreach (IGrouping<string, string> partition in lines.GroupBy(line => line[..line.IndexOf(' ')]))
        {
            long[] numbers = [.. partition.Select(line => long.Parse(line.AsSpan(line.IndexOf(' ') + 1), CultureInfo.InvariantCulture))];
            Assert.Equal(numbers.Order(), numbers);
        }
    }

    private static async Task GoesOnAsync(NumberProducer producer, GroupReader reader)
    {
        (long delivered, long seen) = (producer.Delivered, reader.Seen);
        await ReachAsync(() => producer.Delivered > delivered + Enough && reader.Seen > seen + Enough);
    }

    private static Task ReachAsync(Func<bool> isReached) =>
        Eventually.AsksAsync(() => Task.FromResult(isReached()), reached => reached, _ => false, ServerCluster.Limit);

    /// <summary>What consumers read from the replicas of a broker that it does not lead.</summary>
    private static async Task<double> FollowerBytesAsync(ServerCluster cluster, int broker) =>
        (await cluster.Server(broker).GetAsync("/metrics")).Split('\n')
            .Where(line => line.StartsWith("arus_replication_follower_fetched", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));

    /// <summary>All records as kcat prints them: the partition and the value of each.</summary>
    private static async Task<string[]> KcatAsync(string address)
    {
        using Process kcat = Process.Start(new ProcessStartInfo(
            "kcat", ["-b", address, "-C", "-t", Topic, "-o", "beginning", "-e", "-q", "-f", "%p %s\n"])
        {
            RedirectStandardOutput = true, StandardOutputEncoding = Encoding.UTF8,
        })!;
        using var limit = new CancellationTokenSource(ServerCluster.Limit);
        string output = await kcat.StandardOutput.ReadToEndAsync(limit.Token);
        await kcat.WaitForExitAsync(limit.Token);
        Assert.Equal(0, kcat.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
