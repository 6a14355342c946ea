using System.Net.Sockets;

namespace Arus.Chaos;

/// <summary>
/// Apache Kafka, to be compared with: brokers that are controllers, too. Also a proof of the checker on what others wrote.
/// </summary>
/// <param name="directory">Holds <c>libs</c> and <c>log4j2.xml</c>.</param>
/// <param name="properties">Further lines for every broker's properties.</param>
internal sealed class KafkaLaunch(string directory, IReadOnlyList<string> properties) : BrokerLaunch
{
    private const int ControllerPort = 9093;
    private const string Heap = "512m";

    public override string Name => "Apache Kafka";

    /// <summary>Kafka's brokers rejoin.</summary>
    public override IReadOnlyList<int> ExitCodesOfTheEvicted => [];

    public override bool HasGateway => false;

    public override bool NeedsDatabase => false;

    public override async Task PrepareAsync(Cluster cluster)
    {
        if (!Directory.Exists(Path.Combine(directory, "libs")))
            throw new ChaosException($"No Kafka in {directory}: --kafka takes the folder that holds its libs.");

        string id = (await Shell.RunAsync("java", [.. Java("kafka.tools.StorageTool"), "random-uuid"])).Trim().Split('\n')[^1];
        foreach (Broker broker in cluster.Brokers)
        {
            string file = PropertiesFile(broker);
            await File.WriteAllLinesAsync(file, Properties(cluster, broker));
            await Shell.RunAsync("java", [.. Java("kafka.tools.StorageTool"), "format", "-t", id, "-c", file]);
        }
    }

    public override BrokerCommand Command(Cluster cluster, Broker broker) => new(
        "java",
        [$"-Xmx{Heap}", $"-Xms{Heap}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", .. Java("kafka.Kafka"), PropertiesFile(broker)],
        new Dictionary<string, string>());

    public override async Task<bool> IsReadyAsync(Broker broker, CancellationToken cancellationToken)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(broker.Address, Broker.KafkaPort, cancellationToken);
        return true;
    }

    private string[] Java(string mainClass) =>
        [$"-Dlog4j2.configurationFile={Path.Combine(directory, "log4j2.xml")}", "-cp", Path.Combine(directory, "libs", "*"), mainClass];

    private static string PropertiesFile(Broker broker) => Path.Combine(broker.HomeDirectory, "server.properties");

    private IEnumerable<string> Properties(Cluster cluster, Broker broker)
    {
        int factor = cluster.ReplicationFactor;
        int minimum = (factor + 1) / 2;
        return
        [
            "process.roles=broker,controller", $"node.id={broker.Id}",
            $"controller.quorum.voters={string.Join(',', cluster.Brokers.Select(b => $"{b.Id}@{b.Address}:{ControllerPort}"))}",
            $"listeners=PLAINTEXT://{broker.Address}:{Broker.KafkaPort},CONTROLLER://{broker.Address}:{ControllerPort}",
            $"advertised.listeners=PLAINTEXT://{broker.Address}:{Broker.KafkaPort}", "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", $"log.dirs={broker.LogDirectory}",
            $"default.replication.factor={factor}", $"offsets.topic.replication.factor={factor}",
            $"transaction.state.log.replication.factor={factor}", $"transaction.state.log.min.isr={minimum}", .. properties,
        ];
    }
}
