using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster …</c>: which brokers there are, and what they lead and keep.</summary>
internal static class ClusterCommand
{
    public static Command Build(Application application) =>
        application.Connected(
            new Command("cluster", "Show the brokers that are alive; operate the cluster.")
            {
                Describe(application), ElectCommand.Build(application), ReassignCommand.Build(application), DrainCommand.Build(application),
                RebalanceCommands.Build(application), RestoreMetadataCommand.Build(application),
            },
            async run =>
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

    private static Command Describe(Application application) =>
        application.Connected(new Command("describe", "Show how partitions are spread over brokers."), async run =>
        {
            ClusterBalance balance = await run.Admin.DescribeBalanceAsync(run.Cancellation);
            run.Write(balance,
            [
                $"{balance.Partitions} partitions: {balance.Leaderless} without a leader, {balance.UnderReplicated} under-replicated, "
                    + $"{balance.Reassigning} being reassigned",
                RebalanceCommands.Text(balance),
                .. Terminal.Table(
                    ["BROKER", "RACK", "STATE", "LEADERS", "REPLICAS", "OUT OF SYNC"],
                    balance.Brokers.Select(b => new object?[]
                    {
                        b.BrokerId, b.Rack, State(b), b.Leaders, b.Replicas, b.OutOfSync,
                    })),
            ]);
        });

    private static string State(BrokerBalance broker)
    {
        string state = broker.IsAlive ? "alive" : "away";
        return !broker.IsDraining ? state : broker.Remaining > 0 ? $"{state}, draining: {broker.Remaining} to go" : $"{state}, drained";
    }
}
