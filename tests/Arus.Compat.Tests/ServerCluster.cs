using Arus.Server.Tests;
using Arus.Testing;
using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Compat.Tests;

/// <summary>
/// Brokers that are server processes of one cluster, on free ports, with a database of their own. They are numbered from 1.
/// </summary>
internal sealed class ServerCluster : IAsyncDisposable
{
    /// <summary>How long a cluster may take for what needs an election, on a machine that is busy.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly string _directory = Directory.CreateTempSubdirectory("arus-servers-").FullName;
    private readonly ServerProcess.Ports[] _ports;
    private readonly ServerProcess?[] _servers;
    private readonly Func<int, string[]> _flags;
    private string _database = "";

    private ServerCluster(int brokers, Func<int, string[]> flags)
    {
        _ports = [.. Enumerable.Range(0, brokers).Select(_ => ServerProcess.Ports.Free())];
        (_servers, _flags) = (new ServerProcess?[brokers], flags);
    }

    public IEnumerable<int> KafkaPorts => _ports.Select(ports => ports.Kafka);

    public string BootstrapServers => string.Join(',', KafkaPorts.Select(port => $"127.0.0.1:{port}"));

    /// <param name="flags">What brokers are started with besides, by their numbers.</param>
    public static async Task<ServerCluster> StartAsync(int brokers, Func<int, string[]> flags)
    {
        var cluster = new ServerCluster(brokers, flags) { _database = await (await PostgresServer.SharedAsync()).CreateDatabaseAsync() };
        try
        {
            for (int broker = 1; broker <= brokers; broker++)
                await cluster.StartAsync(broker);

            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public ServerProcess Server(int broker) => _servers[broker - 1]!;

    public async Task StartAsync(int broker) => _servers[broker - 1] = await ServerProcess.StartAsync(
        _ports[broker - 1], Path.Combine(_directory, $"{broker}"), [("ARUS_DATABASE", _database)],
        [
            $"--broker.id={broker}", "--arus.flush=os", "--default.replication.factor=3", "--min.insync.replicas=2",
            "--group.initial.rebalance.delay.ms=0", .. _flags(broker),
        ]);

    /// <summary>Ends a broker by SIGKILL.</summary>
    public async Task KillAsync(int broker)
    {
        ServerProcess server = Server(broker);
        server.Kill();
        await server.WaitForExitAsync();
        await server.DisposeAsync();
        _servers[broker - 1] = null;
    }

    /// <summary>Makes a topic whose partitions have these replicas each, the leader first.</summary>
    public async Task CreateTopicAsync(string bootstrap, string topic, int[][] replicas)
    {
        using IAdminClient admin = new AdminClientBuilder(new ClientConfig { BootstrapServers = bootstrap }).Build();
        var assignments = replicas.Select((brokers, i) => (i, brokers.ToList())).ToDictionary(pair => pair.i, pair => pair.Item2);
        await Eventually.AsksAsync(
            async () =>
            {
                await admin.CreateTopicsAsync(
                    [new TopicSpecification { Name = topic, NumPartitions = replicas.Length, ReplicasAssignments = assignments }]);
                return true;
            },
            created => created, e => e is CreateTopicsException or KafkaException, Limit);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ServerProcess? server in _servers)
        {
            if (server is not null)
                await server.DisposeAsync();
        }

        Directory.Delete(_directory, recursive: true);
    }
}
