using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster drain</c></summary>
internal static class DrainCommand
{
    private static readonly Argument<int> Broker = new("broker") { Description = "the broker's id" };

    private static readonly Option<bool> Undo = new("--undo") { Description = "the broker takes leaderships and replicas again" };

    private static readonly Option<bool> NoWait = new("--no-wait") { Description = "do not wait until it is over" };

    public static Command Build(Application application)
    {
        var command = new Command("drain", "Give what a broker leads and keeps to others, so that it can be stopped.")
        {
            Broker, Undo, NoWait,
        };
        return application.Connected(command, async run =>
        {
            int id = run.Get(Broker);
            await run.Admin.DrainBrokerAsync(id, run.Get(Undo), run.Cancellation);
            if (!run.Get(Undo) && !run.Get(NoWait))
                await WaitAsync(run, id);

            BrokerBalance broker = await FindAsync(run, id);
            run.Write(broker, Text(broker));
        });
    }

    /// <summary>It goes on when this is interrupted, and the same command waits for it again.</summary>
    private static async Task WaitAsync(CommandRun run, int id)
    {
        int total = (await FindAsync(run, id)).Remaining;
        await WaitBar.ShowAsync(run, $"Draining broker {id}", total, async () => total - (await FindAsync(run, id)).Remaining);
    }

    private static async Task<BrokerBalance> FindAsync(CommandRun run, int id) =>
        (await run.Admin.DescribeBalanceAsync(run.Cancellation)).Brokers.FirstOrDefault(broker => broker.BrokerId == id)
        ?? new BrokerBalance(id, false, null, 0, 0, 0, false, 0);

    private static string Text(BrokerBalance broker) =>
        !broker.IsDraining ? $"Broker {broker.BrokerId} takes leaderships and replicas."
        : broker.Remaining > 0 ? $"Broker {broker.BrokerId} leads {broker.Leaders} partitions and keeps {broker.Replicas}; it goes on."
        : broker.Replicas > 0
            ? $"Broker {broker.BrokerId} leads nothing. It keeps {broker.Replicas} partitions for which there is no other broker, and can "
                + "be stopped: they have one replica less then."
        : $"Broker {broker.BrokerId} leads and keeps nothing, and can be stopped.";
}
