using System.Text;
using Arus.Testing;
using Xunit.Abstractions;

namespace Arus.Simulation.Tests;

public sealed class SimulationTests(ITestOutputHelper output)
{
    private const int FreshSeeds = 60;

    /// <summary>A deliberate bug is found long before.</summary>
    private const int MostSeedsForBug = 500;

    /// <summary>Seeds that once found something.</summary>
    private static readonly int[] Regressions =
    [
        1847760941, 1410441719, 1180202454, 1382022047, 1572853504, 1082393687, 817170743, 539228275, 1450545353, 194191028,
        1029835441, 390527302, 1494811782, 26710586, 1396449967, 526075296, 1952550422, 1529649750, 502909399, 985130082, 1804968459,
        1170812271, 1178976505, 278843307, 1330502666, 1485393867, 1890144630, 654320897, 902410589, 157343443,
        1784217714, 143379951, 1917873961, 1067244508,
    ];

    [Fact]
    public void A_cluster_keeps_its_promises_under_faults_and_is_whole_after_them()
    {
        var statistics = new Statistics();
        foreach (int seed in Seeds.Take(FreshSeeds, Regressions))
        {
            SeedResult result = SeedResult.Of(seed);
            output.WriteLine($"{result}, {result.Statistics.TotalOperations} operations, {result.Statistics.TotalFaults} faults");
            Assert.True(result.Violation is null, $"{result}{Environment.NewLine}{TraceOf(seed)}");
            Assert.True(result.Statistics.TotalOperations >= SeedPlan.MinOperations);
            Assert.True(result.Statistics.TotalFaults >= SeedPlan.MinFaults);
            statistics.Add(result.Statistics);
        }

        var text = new StringWriter();
        statistics.Print(text);
        output.WriteLine(text.ToString());
        if (Seeds.Given is null)
            Assert.Empty(statistics.Missing());
    }

    [Fact]
    public void A_seed_replays_to_the_last_event()
    {
        int seed = Random.Shared.Next();
        Assert.Equal(WholeTraceOf(seed), WholeTraceOf(seed));
    }

    public static TheoryData<string> DeliberateBugs() => new(Enum.GetValues<Bug>().Skip(1).Select(bug => bug.ToString()));

    [Theory, MemberData(nameof(DeliberateBugs))]
    public void A_deliberate_bug_is_found(string name)
    {
        Bug bug = Enum.Parse<Bug>(name);
        for (int seeds = 1; seeds <= MostSeedsForBug; seeds++)
        {
            SeedResult result = SeedResult.Of(Random.Shared.Next(), bug);
            if (result.Violation is not null)
            {
                output.WriteLine($"{name} was found after {seeds} seeds: {result}");
                return;
            }
        }

        Assert.Fail($"{name} was not found in {MostSeedsForBug} seeds.");
    }

    private static string WholeTraceOf(int seed)
    {
        var text = new StringBuilder();
        SeedResult result = SeedResult.Of(seed, trace: line => text.AppendLine(line));
        return text.AppendLine(result.ToString()).ToString();
    }

    /// <summary>The end of what happened.</summary>
    private static string TraceOf(int seed)
    {
        const int Lines = 60;
        var lines = new Queue<string>();
        SeedResult.Of(seed, trace: line =>
        {
            if (lines.Count == Lines)
                lines.Dequeue();

            lines.Enqueue(line);
        });
        return string.Join(Environment.NewLine, lines);
    }
}
