using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster</c>: which brokers there are.</summary>
internal static class ClusterCommand
{
    public static Command Build(Application application) =>
        application.Connected(
            new Command("cluster", "Show the brokers that are alive."), async (connection, arguments, cancellationToken) =>
        {
            ClusterDescription cluster = await connection.Admin.DescribeClusterAsync(cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(cluster);
                return ExitCode.Success;
            }

            application.Terminal.WriteLine($"Cluster {cluster.ClusterId}, controller {cluster.ControllerId}");
            application.Terminal.WriteTable(
                ["BROKER", "SILO", "ENDPOINTS", "RACK"],
                cluster.Brokers.OrderBy(b => b.BrokerId).Select(b => new[]
                {
                    $"{b.BrokerId}", b.SiloName, string.Join(' ', b.Endpoints.Select(e => $"{e.Listener}://{e.Host}:{e.Port}")),
                    b.Rack ?? "-",
                }));
            return ExitCode.Success;
        });
}
