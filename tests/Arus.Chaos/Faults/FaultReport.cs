using System.Globalization;
using System.Text;

namespace Arus.Chaos;

/// <summary>What each kind of fault cost.</summary>
internal static class FaultReport
{
    /// <summary>The last acknowledgement before a fault may lie that far back: fewer than this apart they count as the fault's.</summary>
    private static readonly TimeSpan Reach = TimeSpan.FromMilliseconds(500);

    /// <summary>The gaps that began in a fault's time: from its start until the next fault's.</summary>
    public static IReadOnlyList<Gap> GapsOf(int index, IReadOnlyList<FaultEvent> faults, IReadOnlyList<Gap> gaps)
    {
        TimeSpan from = faults[index].Start - Reach;
        TimeSpan to = index + 1 < faults.Count ? faults[index + 1].Start - Reach : TimeSpan.MaxValue;
        return [.. gaps.Where(gap => gap.Start >= from && gap.Start < to && gap.End > faults[index].Start)];
    }

    /// <summary>
    /// A table in Markdown with a row for each kind: how often it happened, the longest time without any acknowledgement, the median and
    /// the longest over faults of the partition that waited longest, and that for each kind of client.
    /// </summary>
    public static string Table(
        IEnumerable<Fault> kinds, IReadOnlyList<FaultEvent> faults, IReadOnlyList<Gap> gaps, IReadOnlyList<string> clients)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture,
            $"| fault | times | all partitions, worst | a partition, median | a partition, worst | {string.Join(" | ", clients)} |");
        text.Append("|---|---|---|---|---|").AppendJoin('|', clients.Select(_ => "---")).AppendLine("|");
        foreach (Fault kind in kinds)
        {
            IReadOnlyList<Gap>[] costs =
            [
                .. Enumerable.Range(0, faults.Count).Where(i => faults[i].Kind == kind.Kind).Select(i => GapsOf(i, faults, gaps)),
            ];
            double[] ofPartition = [.. costs.Select(cost => Longest(cost, gap => gap is { Client: null, Partition: not null })).Order()];
            double ofAll = costs.Select(cost => Longest(cost, gap => gap is { Client: null, Partition: null })).DefaultIfEmpty().Max();
            IEnumerable<string> ofClients = clients.Select(client => Seconds(
                costs.Select(cost => Longest(cost, gap => gap.Client == client)).DefaultIfEmpty().Max()));
            double median = ofPartition.Length == 0 ? 0 : ofPartition[ofPartition.Length / 2];
            string[] cells =
                [kind.Kind, $"{costs.Length}", Seconds(ofAll), Seconds(median), Seconds(ofPartition.LastOrDefault()), .. ofClients];
            text.AppendLine(CultureInfo.InvariantCulture, $"| {string.Join(" | ", cells)} |");
        }

        return text.ToString();
    }

    private static double Longest(IEnumerable<Gap> gaps, Func<Gap, bool> which) =>
        gaps.Where(which).Select(gap => gap.Length.TotalSeconds).DefaultIfEmpty().Max();

    private static string Seconds(double seconds) => seconds == 0 ? "-" : seconds.ToString("0.0 s", CultureInfo.InvariantCulture);
}
