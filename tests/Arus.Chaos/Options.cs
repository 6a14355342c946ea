using System.Globalization;

namespace Arus.Chaos;

/// <summary>What the command line says.</summary>
internal sealed record Options
{
    public const string Help = """
        Arus.Chaos [run] [--minutes N]          faults while clients write and read, then a check that nothing is lost (3 minutes)
        Arus.Chaos failover                     the time from the loss of a leader to the next acknowledged write
                   [--kills N] [--silences N]   how often by kill -9, and by silence of the network (30, 10)
        Arus.Chaos restarts [--restarts N]      each broker ended and started again at once, so many times in a row (4)
        Arus.Chaos scale                        from 1 to 3 to 5 brokers and back to 3 under load, then each restarted, twice
                   [--rest N]                   seconds between two steps, which the steps are compared with (20)
        Arus.Chaos throughput                   records a second of three brokers with three copies
                   [--records N]                in each of its runs, of 100 bytes; a fifth of 1 KiB (2000000)
                   [--rounds N]                 runs of each broker, which take turns; medians are printed (3)
                   [--flush os,always]          only these; Kafka's flush.messages=1 stands beside always (both)

          --kafka DIR        Apache Kafka, whose libs are in DIR: instead of Arus (run, failover) or beside it (throughput)
          --brokers N        3 to 5 brokers, or 1 (3)
          --faults A,B       only these kinds of faults
          --seed N           repeats the dice of a run
          --rate N           records offered each second (2000)
          --no-native        without producers and consumers of Arus.Client
          --interval N       seconds from fault to fault on average (20)
          --partitions N     of the topic (12; of scale 60, which divide evenly)
          --server PATH      another Arus.Server
          --flag=--KEY=VALUE a flag for every broker, may be given again; a line of server.properties for Kafka
          --dir PATH         where logs and data go; kept if anything was found, or with --keep (a new folder in /tmp)
        Needs root, iproute2 and, for Arus, PostgreSQL's binaries. The exit code is 0 if all is well, 1 if not, 2 if it could not run.
        """;

    public string Command { get; init; } = "run";

    public double Minutes { get; init; } = 3;

    public int Kills { get; init; } = 30;

    public int Silences { get; init; } = 10;

    public int Restarts { get; init; } = 4;

    public double Rest { get; init; } = 20;

    public string? Kafka { get; init; }

    public int Brokers { get; init; } = 3;

    public IReadOnlyList<Fault>? Faults { get; init; }

    public int Seed { get; init; } = Environment.TickCount & int.MaxValue;

    public int Rate { get; init; } = 2000;

    public int Records { get; init; } = 2_000_000;

    public int Rounds { get; init; } = 3;

    public IReadOnlyList<string> Flushes { get; init; } = ["os", "always"];

    public double Interval { get; init; } = 20;

    /// <summary>Null where the command is to have its own number.</summary>
    public int? PartitionsAsked { get; init; }

    public int Partitions => PartitionsAsked ?? 12;

    public string Server { get; init; } = ArusLaunch.DefaultProgram();

    public IReadOnlyList<string> Flags { get; init; } = [];

    public string? Folder { get; init; }

    public bool IsKept { get; init; }

    public bool IsWithoutNative { get; init; }

    /// <exception cref="ChaosException">The message names the argument and what it must be.</exception>
    public static Options Parse(IReadOnlyList<string> arguments)
    {
        var options = new Options();
        int first = 0;
        if (arguments.Count > 0 && !arguments[0].StartsWith('-'))
        {
            options = options with { Command = arguments[0] };
            first = 1;
        }

        for (int i = first; i < arguments.Count; i++)
        {
            (string name, string? value) = arguments[i].Split('=', 2) is [string key, string given] ? (key, given) : (arguments[i], null);
            string Take() => value ?? (++i < arguments.Count ? arguments[i] : throw new ChaosException($"{name} needs a value."));
            options = options.With(name, Take);
        }

        return options;
    }

    /// <summary>The cluster under test.</summary>
    public BrokerLaunch Launch() => Kafka is null ? new ArusLaunch(Server, Flags) : new KafkaLaunch(Kafka, Flags);

    /// <summary>The kinds of faults of a run: those asked for, or the usual ones that this cluster can have.</summary>
    public IReadOnlyList<Fault> FaultsFor(Cluster cluster) =>
        Faults ?? [.. Chaos.Faults.All.Where(fault => fault.IsUsual && fault.IsPossible(cluster))];

    private Options With(string name, Func<string> take) => name switch
    {
        "--minutes" => this with { Minutes = Number(name, take(), 0.1, 24 * 60) },
        "--kills" => this with { Kills = (int)Number(name, take(), 0, 10_000) },
        "--silences" => this with { Silences = (int)Number(name, take(), 0, 10_000) },
        "--restarts" => this with { Restarts = (int)Number(name, take(), 1, 1000) },
        "--rest" => this with { Rest = Number(name, take(), 1, 3600) },
        "--kafka" => this with { Kafka = Path.GetFullPath(take()) },
        "--brokers" => this with { Brokers = (int)Number(name, take(), 1, 5) },
        "--faults" => this with { Faults = [.. take().Split(',').Select(FaultNamed)] },
        "--seed" => this with { Seed = (int)Number(name, take(), 0, int.MaxValue) },
        "--rate" => this with { Rate = (int)Number(name, take(), 10, 1_000_000) },
        "--records" => this with { Records = (int)Number(name, take(), 100, 1_000_000_000) },
        "--rounds" => this with { Rounds = (int)Number(name, take(), 1, 100) },
        "--flush" => this with { Flushes = [.. take().Split(',').Select(FlushNamed)] },
        "--interval" => this with { Interval = Number(name, take(), 1, 3600) },
        "--partitions" => this with { PartitionsAsked = (int)Number(name, take(), 1, 1000) },
        "--server" => this with { Server = Path.GetFullPath(take()) },
        "--flag" => this with { Flags = [.. Flags, take()] },
        "--dir" => this with { Folder = Path.GetFullPath(take()) },
        "--no-native" => this with { IsWithoutNative = true },
        "--keep" => this with { IsKept = true },
        _ => throw new ChaosException($"Unknown argument {name}.\n{Help}"),
    };

    private static Fault FaultNamed(string kind) =>
        Chaos.Faults.All.FirstOrDefault(fault => fault.Kind == kind)
            ?? throw new ChaosException($"No fault {kind}; there are: {string.Join(", ", Chaos.Faults.All.Select(fault => fault.Kind))}.");

    private static string FlushNamed(string flush) =>
        flush is "os" or "always" ? flush : throw new ChaosException($"--flush takes os, always or both with a comma, not '{flush}'.");

    private static double Number(string name, string text, double least, double most) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && number >= least && number <= most
            ? number
            : throw new ChaosException($"{name} takes a number from {least} to {most}, not '{text}'.");
}
