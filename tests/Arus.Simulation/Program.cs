using System.Diagnostics;
using System.Globalization;

namespace Arus.Simulation;

internal static class Program
{
    private const string Usage = """
        Simulates a cluster of brokers: the product's replication and logs over a disk, a network, a database and a clock that fail.
          --seed N [--verbose] [--bug NAME]   runs one seed, with a trace
          --seeds N                           runs N fresh seeds
          --bugs                              how many seeds it takes to find each deliberate bug
        Exit code: 0 nothing found, 1 safety, 2 liveness, 3 crash of the product, 4 something was never exercised, 64 usage.
        """;

    private static int Main(string[] args)
    {
        Trace.Listeners.Clear();
        Trace.Listeners.Add(new AssertionListener());
        Bug bug = Text("--bug") is { } name ? Enum.Parse<Bug>(name, ignoreCase: true) : Bug.None;
        if (Number("--seed") is { } seed)
            return RunOne(seed, bug, args.Contains("--verbose"));

        if (Number("--seeds") is { } count)
            return RunMany(count, bug);

        if (args.Contains("--bugs"))
            return FindBugs();

        Console.Error.WriteLine(Usage);
        return 64;

        string? Text(string option) => Array.IndexOf(args, option) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

        int? Number(string option) =>
            int.TryParse(Text(option), NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) ? value : null;
    }

    private static int RunOne(int seed, Bug bug, bool isVerbose)
    {
        SeedResult result = SeedResult.Of(seed, bug, isVerbose ? Console.WriteLine : null);
        result.Statistics.Print(Console.Out);
        Console.WriteLine(result);
        return result.ExitCode;
    }

    private static int RunMany(int count, Bug bug)
    {
        var statistics = new Statistics();
        int violations = 0;
        int exitCode = 0;
        var clock = Stopwatch.StartNew();
        for (int i = 0; i < count; i++)
        {
            SeedResult result = SeedResult.Of(Random.Shared.Next(), bug);
            statistics.Add(result.Statistics);
            if (result.ExitCode != 0)
            {
                violations++;
                exitCode = exitCode == 0 ? result.ExitCode : Math.Min(exitCode, result.ExitCode);
                Console.WriteLine(result);
            }
        }

        statistics.Print(Console.Out);
        string[] missing = [.. statistics.Missing()];
        if (missing.Length > 0)
            Console.WriteLine($"never exercised: {string.Join(", ", missing)}");

        Console.WriteLine(FormattableString.Invariant($"{count / clock.Elapsed.TotalSeconds:F1} seeds a second"));
        Console.WriteLine(FormattableString.Invariant($"{count} seeds, {violations} violations"));
        return exitCode == 0 && missing.Length > 0 ? 4 : exitCode;
    }

    private static int FindBugs()
    {
        const int Limit = 20_000;
        bool foundAll = true;
        foreach (Bug bug in Enum.GetValues<Bug>().Skip(1))
        {
            int seeds = 1;
            SeedResult result = SeedResult.Of(Random.Shared.Next(), bug);
            for (; result.ExitCode == 0 && seeds < Limit; seeds++)
                result = SeedResult.Of(Random.Shared.Next(), bug);

            foundAll &= result.ExitCode != 0;
            string found = result.ExitCode == 0 ? "not found" : "found";
            Console.WriteLine(FormattableString.Invariant($"{bug}: {found} after {seeds} seeds. {result}"));
        }

        return foundAll ? 0 : 4;
    }
}

/// <summary>An assertion of the product that fails ends the seed, not the run.</summary>
internal sealed class AssertionListener : TraceListener
{
    public override void Fail(string? message, string? detailMessage) =>
        throw new InvalidOperationException($"assertion failed: {message} {detailMessage}");

    public override void Write(string? message)
    {
    }

    public override void WriteLine(string? message)
    {
    }
}

/// <summary>What came of a seed.</summary>
internal sealed record SeedResult(int Seed, Statistics Statistics, ViolationException? Violation)
{
    public int ExitCode => (int)(Violation?.Kind ?? 0);

    public static SeedResult Of(int seed, Bug bug = Bug.None, Action<string>? trace = null)
    {
        var simulation = new ClusterSimulation(seed, bug, trace);
        try
        {
            return new SeedResult(seed, simulation.Run(), null);
        }
        catch (ViolationException e)
        {
            return new SeedResult(seed, simulation.World.Statistics, e);
        }
        catch (Exception e)
        {
            var crash = new ViolationException(0, ViolationKind.Crash, e.ToString(), e);
            return new SeedResult(seed, simulation.World.Statistics, crash);
        }
    }

    public override string ToString() =>
        Violation is null
            ? $"seed {Seed}: no violation"
            : $"seed {Seed}: {Violation.Kind} at {Statistics.TotalOperations} operations: {Violation.Message}";
}
