using System.Globalization;
using System.Text;
using Arus.Client;

namespace Arus.Chaos;

/// <summary>The steps of <see cref="ScaleRun"/>: how long each took, and what it cost those who write.</summary>
/// <param name="rest">Before each step, to have something that its latencies are compared with.</param>
internal sealed class ScaleSteps(
    Cluster cluster, AvailabilityMeter meter, LatencyMeter latency, Journal journal, TimeSpan rest, CancellationToken stop)
{
    /// <summary>Of an even share, how much a broker may differ from it.</summary>
    private const double Tenth = 0.1;

    private readonly List<Step> _steps = [];
    private string _current = "";

    /// <summary>Rests, then does one step and measures it.</summary>
    public async Task RunAsync(string name, Func<Task> step)
    {
        latency.Take();
        await Task.Delay(rest, stop);
        (_, double p99AtRest) = latency.Take();
        _current = name;
        journal.Note(name);
        TimeSpan start = meter.Now;
        await step();
        TimeSpan end = meter.Now;
        (double median, double p99) = latency.Take();
        double[] stored = [.. cluster.Brokers.Select(broker => StoredBytes(broker) / (double)(1 << 20))];
        _steps.Add(new Step(name, start, end, p99AtRest, median, p99, stored));
        journal.Note(string.Create(CultureInfo.InvariantCulture, $"{name}: {(end - start).TotalSeconds:0.0} s"));
    }

    public void Find(string text) => journal.Find($"{_current}: {text}");

    /// <summary>What is not within a tenth of an even spread, or is still to move; empty if all is well.</summary>
    public static string Unevenness(Cluster cluster, ClusterBalance balance)
    {
        if (balance.Leaderless + balance.UnderReplicated + balance.Reassigning > 0)
            return $"{balance.Leaderless} without a leader, {balance.UnderReplicated} under-replicated, {balance.Reassigning} moving";

        BrokerBalance[] brokers = [.. balance.Brokers.Where(broker => cluster.Brokers.Any(one => one.Id == broker.BrokerId))];
        return brokers.Length < cluster.Brokers.Count ? $"only {brokers.Length} brokers are known"
            : Differing("leaders", [.. brokers.Select(broker => (double)broker.Leaders)])
            ?? Differing("replicas", [.. brokers.Select(broker => (double)broker.Replicas)])
            ?? Differing("bytes", [.. cluster.Brokers.Select(broker => (double)StoredBytes(broker))]) ?? "";
    }

    /// <summary>
    /// A table in Markdown: the time of each step, latencies of librdkafka's producers before and within it, and the longest time that
    /// a partition had no acknowledgement, as the median, the 99th percentile and the worst over partitions.
    /// </summary>
    public string Table()
    {
        var text = new StringBuilder();
        text.AppendLine("| step | took | p99 before | p50 | p99 | a partition waited: p50 | p99 | worst | MiB of each broker |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|");
        foreach (Step step in _steps)
        {
            double[] gaps = LongestGaps(step);
            text.AppendLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {step.Name} | {(step.End - step.Start).TotalSeconds:0.0} s "
                + $"| {step.P99AtRest:0} ms | {step.Median:0} ms | {step.P99:0} ms "
                + $"| {gaps[gaps.Length / 2]:0.0} s | {gaps[(int)(gaps.Length * 0.99)]:0.0} s | {gaps[^1]:0.0} s "
                + $"| {string.Join(", ", step.StoredMebibytes.Select(stored => stored.ToString("0", CultureInfo.InvariantCulture)))} |"));
        }

        return text.ToString();
    }

    /// <summary>In seconds, ordered, one for each partition; 0 where no gap was worth mention.</summary>
    private double[] LongestGaps(Step step)
    {
        double[] longest = new double[meter.Partitions];
        foreach (Gap gap in meter.Gaps().Where(gap => gap.Client is null && gap.End > step.Start && gap.Start < step.End))
        {
            if (gap.Partition is { } partition)
                longest[partition] = Math.Max(longest[partition], gap.Length.TotalSeconds);
        }

        Array.Sort(longest);
        return longest;
    }

    private static string? Differing(string what, IReadOnlyList<double> shares)
    {
        double even = shares.Average();
        return shares.All(share => Math.Abs(share - even) <= even * Tenth) ? null
            : $"{what} {string.Join(", ", shares.Select(share => share.ToString("0", CultureInfo.InvariantCulture)))}";
    }

    /// <summary>Of a directory in which files come and go.</summary>
    private static long StoredBytes(Broker broker) =>
        new DirectoryInfo(broker.LogDirectory).EnumerateFiles("*.log", SearchOption.AllDirectories)
            .Sum(file => file.Exists ? file.Length : 0);

    /// <param name="P99AtRest">Milliseconds, in the rest before.</param>
    /// <param name="StoredMebibytes">In the segment files of each broker, at the end.</param>
    private sealed record Step(
        string Name, TimeSpan Start, TimeSpan End, double P99AtRest, double Median, double P99, double[] StoredMebibytes);
}
