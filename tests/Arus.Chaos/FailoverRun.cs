using System.Globalization;

namespace Arus.Chaos;

/// <summary>
/// The command <c>failover</c>: one producer of librdkafka with its defaults writes to all partitions while leaders are lost, one at a
/// time, by kill -9 and by silence. What counts is the time until a record that was handed to the producer after the loss is acknowledged,
/// for each partition that the broker led. Beside it a producer of Arus.Client writes, and groups of both read; their longest times without
/// an acknowledgement or a record in any partition are told.
/// </summary>
internal sealed class FailoverRun(Options options)
{
    private const string TopicName = "failover";
    private const int PerPartition = 50;

    /// <summary>The last acknowledgement before a loss may lie that far back.</summary>
    private static readonly TimeSpan Reach = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan CatchUpLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ShortAbsence = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongAbsence = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);

    private readonly List<Loss> _losses = [];

    /// <summary>Answers the exit code: 1 if a goal was missed or anything was lost.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        Journal journal = folder.Journal;
        await using Cluster cluster = await Cluster.StartAsync(options.Launch(), options.Brokers, folder.Root, journal);
        using var topic = new ChaosTopic(cluster, TopicName, options.Partitions);
        await topic.CreateAsync();
        bool withNative = cluster.Launch.HasGateway && !options.IsWithoutNative;
        string[] clients = withNative ? [Workload.Default, Workload.Native] : [Workload.Default];
        var watch = new WriteWatch(journal);
        await using Workload workload = await Workload.StartAsync(
            cluster, topic, clients, PerPartition * options.Partitions * clients.Length, journal, watch.Acknowledged);

        // What is waited for before the first acknowledgement is no failover.
        while (!(workload.Meter.HasBegun && workload.Reading.HasBegun) && workload.Meter.Now < WholeLimit)
            await Task.Delay(Poll, stop);

        for (int i = 0; i < options.Kills + options.Silences; i++)
            await LoseAsync(cluster, topic, workload, watch, journal, i, stop);

        await cluster.HealAsync();
        await workload.StopProducersAsync(FlushLimit);
        TopicContents log = await LogReader.ReadAsync(topic, "the log", journal, ReadLimit);
        foreach (GroupReader group in workload.Groups)
            await group.FinishAsync(log, CatchUpLimit);

        Verdict verdict = Checker.Check(workload.Ledgers, log, [.. workload.Groups.Select(group => group.Served)]);
        folder.IsClean = Report(cluster, verdict, withNative, journal);
        return folder.IsClean ? 0 : 1;
    }

    /// <summary>Loses the next broker in turn, that leads, and takes it back after 2 or 10 seconds.</summary>
    private async Task LoseAsync(
        Cluster cluster, ChaosTopic topic, Workload workload, WriteWatch watch, Journal journal, int index, CancellationToken stop)
    {
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"not whole {WholeLimit.TotalSeconds:0} s after the loss before: {topic.Complaint()}");

        (Broker broker, IReadOnlyList<int> led) = NextLeader(cluster, topic, index);
        bool isKill = index < options.Kills;
        TimeSpan absence = index / cluster.Brokers.Count % 2 == 0 ? ShortAbsence : LongAbsence;
        string what = $"{(isKill ? "kill" : "silence")} of broker {broker.Id}, leader of {string.Join(',', led)}";
        foreach (GroupReader group in workload.Groups)
            what += await topic.CoordinatorOfAsync(group.Served.Reader) == broker.Id ? $", coordinator of the {group.Served.Reader}" : "";

        journal.Note(what);
        DateTime lost = DateTime.UtcNow;
        TimeSpan lostAt = workload.Meter.Now;
        if (isKill)
            await broker.KillAsync();
        else
            await cluster.Network.SetLinkAsync(broker.Id, isUp: false);

        Task<double> waiting = watch.WaitAsync(led, lost, stop);
        // A silence ends when all partitions are written to again, since it is their time that is measured.
        if (!isKill)
            await waiting;

        await Task.Delay(Remaining(lost, absence), stop);
        TimeSpan returned = workload.Meter.Now;
        if (isKill)
            await cluster.StartAsync(broker);
        else
            await EndSilenceAsync(cluster, broker, stop);

        double waited = await waiting;
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"not whole {WholeLimit.TotalSeconds:0} s after the return of broker {broker.Id}: {topic.Complaint()}");

        Record(workload, new Loss(isKill, absence, waited) { Start = lostAt, Return = returned }, journal, broker);
    }

    /// <summary>A broker that others have replaced is told so, ends, and is started again; until then it may look whole.</summary>
    private static async Task EndSilenceAsync(Cluster cluster, Broker broker, CancellationToken stop)
    {
        int starts = broker.Starts;
        long start = TimeProvider.System.GetTimestamp();
        await cluster.Network.HealAsync();
        while (cluster.Launch.ExitCodesOfTheEvicted.Count > 0 && broker.Starts == starts
            && TimeProvider.System.GetElapsedTime(start) < WholeLimit)
        {
            await Task.Delay(Poll, stop);
        }
    }

    private void Record(Workload workload, Loss loss, Journal journal, Broker broker)
    {
        Gap[] gaps = [.. workload.Meter.Gaps(), .. workload.Reading.Gaps()];
        double Of(string client) => Longest(gaps.Where(gap =>
            gap.Client == client && gap.Start >= loss.Start - Reach && gap.Start < loss.Return && gap.End > loss.Start));

        loss = loss with
        {
            OfNative = Of(Workload.Native), OfNativeGroup = Of(Workload.NativeGroup), OfKafkaGroup = Of(Workload.KafkaGroup),
            OfReturn = loss.Absence == LongAbsence
                ? Longest(gaps.Where(gap => gap.Start >= loss.Return && gap.Client == Workload.Default))
                : 0,
        };
        _losses.Add(loss);
        journal.Note(string.Create(CultureInfo.InvariantCulture,
            $"broker {broker.Id} back after {loss.Absence.TotalSeconds:0} s: next write after {loss.Waited:0.00} s, the return cost "
            + $"{loss.OfReturn:0.00} s; waited: {Workload.Native} {loss.OfNative:0.00} s, "
            + $"{Workload.NativeGroup} {loss.OfNativeGroup:0.00} s, {Workload.KafkaGroup} {loss.OfKafkaGroup:0.00} s"));
    }

    private static double Longest(IEnumerable<Gap> gaps) => gaps.Select(gap => gap.Length.TotalSeconds).DefaultIfEmpty().Max();

    private static TimeSpan Remaining(DateTime since, TimeSpan length) =>
        TimeSpan.FromTicks(Math.Max(0, (length - (DateTime.UtcNow - since)).Ticks));

    /// <summary>The next broker in turn that leads, and its partitions: one that has returned may lead nothing for a while.</summary>
    private static (Broker Broker, IReadOnlyList<int> Led) NextLeader(Cluster cluster, ChaosTopic topic, int index)
    {
        int count = cluster.Brokers.Count;
        return Enumerable.Range(0, count)
            .Select(i => cluster.Brokers[(index + i) % count])
            .Select(broker => (broker, topic.LedBy(broker.Id)))
            .First(candidate => candidate.Item2.Count > 0);
    }

    private bool Report(Cluster cluster, Verdict verdict, bool withNative, Journal journal)
    {
        foreach (string example in verdict.Examples)
            journal.Note(example);

        foreach ((string finding, int times) in journal.Findings)
            Console.WriteLine($"finding, {times} times: {finding}");

        Console.WriteLine($"acknowledged {verdict.Acknowledged} lost {verdict.Lost}, by retries that are not idempotent: "
            + $"doubled {verdict.DoubledByRetries} reordered {verdict.ReorderedByRetries}");
        Loss[] returns = [.. _losses.Where(loss => loss.Absence == LongAbsence)];
        Console.WriteLine($"{cluster.Launch.Name}: {returns.Length} returns after 10 s: {Summary(returns.Select(loss => loss.OfReturn))}");
        Loss[] kills = [.. _losses.Where(loss => loss.IsKill)];
        Loss[] silences = [.. _losses.Where(loss => !loss.IsKill)];
        Console.WriteLine($"{cluster.Launch.Name}: {kills.Length} kills: {Summary(kills.Select(loss => loss.Waited))}; "
            + $"{silences.Length} silences: {Summary(silences.Select(loss => loss.Waited))}");
        if (withNative)
        {
            WriteWaits($"{Workload.Native}, without an acknowledgement", loss => loss.OfNative);
            WriteWaits($"{Workload.NativeGroup}, without a record", loss => loss.OfNativeGroup);
            WriteWaits($"{Workload.KafkaGroup}, without a record", loss => loss.OfKafkaGroup);
        }

        return verdict.IsClean && journal.Findings.Count == 0;
    }

    private void WriteWaits(string what, Func<Loss, double> wait) => Console.WriteLine(
        $"{what}: kills: {Summary(_losses.Where(loss => loss.IsKill).Select(wait))}; "
        + $"silences: {Summary(_losses.Where(loss => !loss.IsKill).Select(wait))}");

    private static string Summary(IEnumerable<double> seconds)
    {
        double[] ordered = [.. seconds.Order()];
        return ordered.Length == 0
            ? "none"
            : string.Create(CultureInfo.InvariantCulture, $"median {ordered[ordered.Length / 2]:0.00} s, worst {ordered[^1]:0.00} s");
    }

    /// <param name="Waited">Seconds until the partition that waited longest was written to again.</param>
    private sealed record Loss(bool IsKill, TimeSpan Absence, double Waited)
    {
        public TimeSpan Start { get; init; }

        public TimeSpan Return { get; init; }

        /// <summary>Seconds that a partition could not be written to when the broker came back.</summary>
        public double OfReturn { get; init; }

        /// <summary>The longest time in seconds that the native client had no acknowledgement in a partition.</summary>
        public double OfNative { get; init; }

        /// <summary>The longest time in seconds that the native group read no record of a partition.</summary>
        public double OfNativeGroup { get; init; }

        /// <summary>The same of librdkafka's group.</summary>
        public double OfKafkaGroup { get; init; }
    }
}
