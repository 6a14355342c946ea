using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster</c>: which brokers there are.</summary>
internal static class ClusterCommand
{
    public static Command Build(Application application) =>
        application.Connected(new Command("cluster", "Show the brokers that are alive."), async run =>
        {
            ClusterDescription cluster = await run.Admin.DescribeClusterAsync(run.Cancellation);
            run.Write(cluster,
            [
                $"Cluster {cluster.ClusterId}, controller {cluster.ControllerId}",
                .. Terminal.Table(
                    ["BROKER", "SILO", "ENDPOINTS", "RACK"],
                    cluster.Brokers.OrderBy(b => b.BrokerId).Select(b => new object?[]
                    {
                        b.BrokerId, b.SiloName, string.Join(' ', b.Endpoints.Select(e => $"{e.Listener}://{e.Host}:{e.Port}")), b.Rack,
                    })),
            ]);
        });
}
