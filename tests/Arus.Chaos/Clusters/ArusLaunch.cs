using System.Globalization;
using System.Net;

namespace Arus.Chaos;

/// <summary>Arus.Server as it was built beside this program.</summary>
/// <param name="program">The path of the server's executable.</param>
/// <param name="flags">Further flags of every broker.</param>
internal sealed class ArusLaunch(string program, IReadOnlyList<string> flags) : BrokerLaunch
{
    /// <summary>The variable in which the server expects how to reach the database.</summary>
    private const string ConnectionVariable = "ARUS_DATABASE";

    public override string Name => "Arus";

    /// <summary>Exit code 1 and one line is how a silo says that the others took it for dead.</summary>
    public override IReadOnlyList<int> ExitCodesOfTheEvicted => [1];

    public override bool HasGateway => true;

    public override bool NeedsDatabase => true;

    /// <summary>The server of this checkout, in the configuration in which this program was built.</summary>
    public static string DefaultProgram()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        string configuration = folder.Parent!.Name;
        string root = folder.Parent.Parent!.Parent!.Parent!.Parent!.FullName;
        return Path.Combine(root, "src", "Arus.Server", "bin", configuration, folder.Name, "Arus.Server");
    }

    public override Task PrepareAsync(Cluster cluster) =>
        File.Exists(program)
            ? Task.CompletedTask
            : throw new ChaosException($"No server at {program}: build src/Arus.Server, or name one with --server.");

    public override BrokerCommand Command(Cluster cluster, Broker broker)
    {
        var environment = new Dictionary<string, string>();
        if (cluster.Database is { } database)
            environment[ConnectionVariable] = database.ConnectionString;

        string[] arguments =
        [
            $"--broker.id={broker.Id}", $"--listeners=PLAINTEXT://{broker.Address}:{Broker.KafkaPort}", $"--log.dir={broker.LogDirectory}",
            $"--arus.http.endpoint={broker.Address}:{Broker.HttpPort}", $"--orleans.advertised.host={broker.Address}",
            string.Create(CultureInfo.InvariantCulture, $"--orleans.silo.port={Broker.SiloPort}"),
            string.Create(CultureInfo.InvariantCulture, $"--orleans.gateway.port={Broker.GatewayPort}"), .. flags,
        ];
        return new BrokerCommand(program, arguments, environment);
    }

    public override async Task<bool> IsReadyAsync(Broker broker, CancellationToken cancellationToken)
    {
        using var http = new HttpClient();
        using HttpResponseMessage answer = await http.GetAsync(
            new Uri($"http://{new IPEndPoint(broker.Address, Broker.HttpPort)}/health/ready"), cancellationToken);
        return answer.IsSuccessStatusCode;
    }
}
