using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster rebalance …</c></summary>
internal static class RebalanceCommands
{
    public static Command Build(Application application) => new(
        "rebalance", "Show and pause the moves that spread leaders and replicas evenly over brokers.")
    {
        application.Connected(new Command("status", "Show what is left to be moved."), ShowAsync),
        application.Connected(new Command("pause", "Move nothing; what is under way is finished."), run => PauseAsync(run, true)),
        application.Connected(new Command("resume", "Move on."), run => PauseAsync(run, false)),
    };

    public static string Text(ClusterBalance balance)
    {
        string state = balance.IsPaused ? "The rebalancer is paused" : "The rebalancer is at work";
        return balance is { ExcessReplicas: 0, ExcessLeaders: 0 }
            ? $"{state}; leaders and replicas are spread evenly"
            : $"{state}; {balance.ExcessReplicas} replicas and {balance.ExcessLeaders} leaderships are to go to other brokers";
    }

    private static async Task PauseAsync(CommandRun run, bool pause)
    {
        await run.Admin.PauseRebalanceAsync(pause, run.Cancellation);
        await ShowAsync(run);
    }

    private static async Task ShowAsync(CommandRun run)
    {
        ClusterBalance balance = await run.Admin.DescribeBalanceAsync(run.Cancellation);
        run.Write(
            new { balance.IsPaused, balance.ExcessReplicas, balance.ExcessLeaders, balance.Reassigning },
            $"{Text(balance)}; {balance.Reassigning} partitions are being reassigned.");
    }
}
