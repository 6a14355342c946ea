namespace Arus.Chaos;

/// <summary>All kinds of faults. Each leaves the cluster whole: what it ended runs again, what it cut is joined.</summary>
internal static class Faults
{
    /// <summary>A graceful stop is promised to end in 10 s.</summary>
    public static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(15);

    public static IReadOnlyList<Fault> All { get; } =
    [
        new("kill", "kill -9, back after 1 to 10 s", IsUsual: true, KillAsync),
        new("restart", "kill -9 and a start at once", IsUsual: true, RestartAsync),
        new("stop", "a graceful stop, back after up to 4 s", IsUsual: true, StopAsync),
        new("pause", "SIGSTOP, SIGCONT after 2 to 10 s", IsUsual: true, PauseAsync),
        new("silence", "the link down for 3 to 12 s", IsUsual: true, SilenceAsync),
        new("partition", "cut off from brokers, one way or both, or from the database, for 4 to 12 s", IsUsual: true, PartitionAsync)
        {
            LeastBrokers = 2,
        },
        new("db-restart", "the database stops or crashes, starts at once", IsUsual: true, RestartDatabaseAsync) { NeedsDatabase = true },
        new("db-stop", "the database away for 5 to 12 s", IsUsual: true, StopDatabaseAsync) { NeedsDatabase = true },
        new("disk", "the last broker's disk full for 4 to 10 s", IsUsual: true, FillDiskAsync),
        new("two", "kill -9 of two brokers within a second", IsUsual: false, KillTwoAsync) { LeastBrokers = 2 },
        new("all", "kill -9 of all brokers within a second", IsUsual: false, KillAllAsync),
        new("emptied", "kill -9, back with an empty log.dir", IsUsual: false, EmptyAsync),
        new("join", "a broker joins, and is drained and leaves after 5 to 15 s", IsUsual: false, ScalingFaults.JoinAndLeaveAsync)
        {
            NeedsDatabase = true,
        },
        new("drain", "a broker is drained, and takes its share again", IsUsual: false, ScalingFaults.DrainAndReturnAsync)
        {
            NeedsDatabase = true,
            LeastBrokers = 3,
        },
    ];

    private static async Task KillAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        await broker.KillAsync();
        await scene.PassAsync(1, 10);
        await scene.Cluster.StartAsync(broker);
    }

    private static async Task RestartAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        await broker.KillAsync();
        await scene.Cluster.StartAsync(broker);
    }

    private static async Task StopAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        int? code = await broker.StopAsync(StopLimit);
        if (code is null)
            scene.Journal.Find($"broker {broker.Id} did not stop within {StopLimit.TotalSeconds:0} s of SIGTERM");
        else if (code is not (0 or 143))
            scene.Journal.Find($"broker {broker.Id} answered SIGTERM with exit code {code}");

        await scene.PassAsync(0, 4);
        await scene.Cluster.StartAsync(broker);
    }

    private static async Task PauseAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        broker.Pause();
        await scene.PassAsync(2, 10);
        broker.Resume();
        await AwaitReturnAsync(scene, broker);
    }

    private static async Task SilenceAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        await scene.Cluster.Network.SetLinkAsync(broker.Id, isUp: false);
        await scene.PassAsync(3, 12);
        await scene.Cluster.Network.HealAsync();
        await AwaitReturnAsync(scene, broker);
    }

    /// <summary>A broker loses all others, one other, one other in one direction, or the database, and keeps its clients.</summary>
    private static async Task PartitionAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        Broker other = scene.AnyBrokerBut(broker);
        Network network = scene.Cluster.Network;
        switch (scene.Roll(scene.Cluster.Database is null ? 3 : 4))
        {
            case 0:
                scene.Tell($"broker {broker.Id} from all others");
                foreach (Broker each in scene.Cluster.Brokers.Where(each => each != broker))
                    await CutBothAsync(network, broker, each);

                break;
            case 1:
                scene.Tell($"broker {broker.Id} from {other.Id}");
                await CutBothAsync(network, broker, other);
                break;
            case 2:
                scene.Tell($"what broker {broker.Id} sends to {other.Id}");
                await network.CutAsync(broker.Id, other.Address);
                break;
            default:
                scene.Tell($"broker {broker.Id} from the database");
                await network.CutAsync(broker.Id, Network.Database);
                break;
        }

        await scene.PassAsync(4, 12);
        await network.HealAsync();
        await AwaitReturnAsync(scene, broker);
        await AwaitReturnAsync(scene, other);
    }

    private static async Task RestartDatabaseAsync(FaultScene scene)
    {
        bool isCrash = scene.Roll(2) == 0;
        scene.Tell(isCrash ? "a crash" : "in order");
        await scene.Cluster.Database!.StopAsync(isCrash);
        await scene.Cluster.Database.StartAsync();
    }

    private static async Task StopDatabaseAsync(FaultScene scene)
    {
        scene.Tell("away");
        await scene.Cluster.Database!.StopAsync(isCrash: false);
        await scene.PassAsync(5, 12);
        await scene.Cluster.Database.StartAsync();
    }

    private static async Task FillDiskAsync(FaultScene scene)
    {
        scene.Tell($"broker {scene.Cluster.Brokers[^1].Id}");
        await scene.Cluster.Disk!.FillAsync();
        await scene.PassAsync(4, 10);
        await scene.Cluster.Disk.EmptyAsync();
    }

    private static async Task KillTwoAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        Broker other = scene.AnyBrokerBut(broker);
        scene.Tell($"brokers {broker.Id} and {other.Id}");
        await broker.KillAsync();
        await scene.PassAsync(0, 1);
        await other.KillAsync();
        await scene.PassAsync(1, 5);
        await Task.WhenAll(scene.Cluster.StartAsync(broker), scene.Cluster.StartAsync(other));
    }

    private static async Task KillAllAsync(FaultScene scene)
    {
        scene.Tell("all brokers");
        foreach (Broker broker in scene.Cluster.Brokers)
        {
            await broker.KillAsync();
            await scene.PassAsync(0, 0.5);
        }

        await Task.WhenAll(scene.Cluster.Brokers.Select(scene.Cluster.StartAsync));
    }

    private static async Task EmptyAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        await broker.KillAsync();
        foreach (string file in Directory.EnumerateFileSystemEntries(broker.LogDirectory))
            await Shell.RunAsync("rm", "-rf", file);

        await scene.PassAsync(1, 5);
        await scene.Cluster.StartAsync(broker);
    }

    private static async Task CutBothAsync(Network network, Broker one, Broker other)
    {
        await network.CutAsync(one.Id, other.Address);
        await network.CutAsync(other.Id, one.Address);
    }

    /// <summary>A broker that was away goes on, or was told that it is dead, ends, and is started again.</summary>
    private static async Task AwaitReturnAsync(FaultScene scene, Broker broker)
    {
        if (!await scene.Cluster.IsReadyAsync(broker))
            scene.Journal.Find($"broker {broker.Id} did not take clients again ({broker.OutputFile})");
    }
}
