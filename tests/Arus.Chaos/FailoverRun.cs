using System.Collections.Concurrent;
using System.Globalization;

namespace Arus.Chaos;

/// <summary>
/// The command <c>failover</c>: one producer of librdkafka with its defaults writes to all partitions while leaders are lost, one at a
/// time, by kill -9 and by silence. What counts is the time until a record that was handed to the producer after the loss is acknowledged,
/// for each partition that the broker led. Beside it a producer of Arus.Client writes, whose longest time without an acknowledgement in
/// any partition is told: its calls to all of them may have gone through the broker.
/// </summary>
internal sealed class FailoverRun(Options options)
{
    private const string TopicName = "failover";
    private const string Client = "librdkafka default";
    private const string Native = "Arus.Client";
    private const int PerPartition = 50;

    /// <summary>The last acknowledgement before a loss may lie that far back.</summary>
    private static readonly TimeSpan Reach = TimeSpan.FromMilliseconds(500);

    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ShortAbsence = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongAbsence = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);

    /// <summary>Of each partition, when the newest acknowledged record was handed to the producer.</summary>
    private readonly ConcurrentDictionary<int, DateTime> _newest = new();

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
        var meter = new AvailabilityMeter(TimeProvider.System, withNative ? [Client, Native] : [Client], options.Partitions);
        var ledger = new ProducerLedger(1, Client, isIdempotent: false, options.Partitions);
        await using var producer = new KafkaProducer(topic, ledger, meter, journal, OnAcknowledged);
        producer.Start(PerPartition * options.Partitions);
        await using NativeConnection? connection = withNative ? await NativeConnection.ConnectAsync(cluster, journal) : null;
        await using NativeProducer? native = connection is null
            ? null
            : new NativeProducer(
                connection.Client, topic, new ProducerLedger(2, Native, isIdempotent: true, options.Partitions), meter, journal);
        native?.Start(PerPartition * options.Partitions);

        // What is waited for before the first acknowledgement is no failover.
        while (!meter.HasBegun && meter.Now < WholeLimit)
            await Task.Delay(Poll, stop);

        for (int i = 0; i < options.Kills + options.Silences; i++)
            await LoseAsync(cluster, topic, meter, journal, i, stop);

        await cluster.HealAsync();
        await Task.WhenAll(producer.StopAsync(FlushLimit), native?.StopAsync(FlushLimit) ?? Task.CompletedTask);
        ProducerLedger[] ledgers = native is null ? [ledger] : [ledger, native.Ledger];
        Verdict verdict = Checker.Check(ledgers, await LogReader.ReadAsync(topic, "the log", journal, ReadLimit), []);
        folder.IsClean = Report(cluster, verdict, withNative, journal);
        return folder.IsClean ? 0 : 1;
    }

    /// <summary>Loses the next broker in turn, that leads, and takes it back after 2 or 10 seconds.</summary>
    private async Task LoseAsync(
        Cluster cluster, ChaosTopic topic, AvailabilityMeter meter, Journal journal, int index, CancellationToken stop)
    {
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"not whole {WholeLimit.TotalSeconds:0} s after the loss before: {topic.Complaint()}");

        (Broker broker, IReadOnlyList<int> led) = NextLeader(cluster, topic, index);
        bool isKill = index < options.Kills;
        TimeSpan absence = index / cluster.Brokers.Count % 2 == 0 ? ShortAbsence : LongAbsence;
        DateTime lost = DateTime.UtcNow;
        TimeSpan lostAt = meter.Now;
        journal.Note($"{(isKill ? "kill" : "silence")} of broker {broker.Id}, leader of {string.Join(',', led)}");
        if (isKill)
            await broker.KillAsync();
        else
            await cluster.Network.SetLinkAsync(broker.Id, isUp: false);

        Task<double> waiting = WaitAsync(led, lost, journal, stop);
        // A silence ends when all partitions are written to again, since it is their time that is measured.
        if (!isKill)
            await waiting;

        await Task.Delay(Remaining(lost, absence), stop);
        TimeSpan returned = meter.Now;
        if (isKill)
            await cluster.StartAsync(broker);
        else
            await cluster.Network.HealAsync();

        double waited = await waiting;
        bool isWhole = await topic.IsWholeWithinAsync(WholeLimit);
        if (!isWhole)
            journal.Find($"not whole {WholeLimit.TotalSeconds:0} s after the return of broker {broker.Id}: {topic.Complaint()}");

        IReadOnlyList<Gap> gaps = meter.Gaps();
        double ofReturn = absence == LongAbsence
            ? Longest(gaps.Where(gap => gap.Start >= returned && gap.Client == Client))
            : 0;
        double ofNative = Longest(gaps.Where(
            gap => gap.Client == Native && gap.Start >= lostAt - Reach && gap.Start < returned && gap.End > lostAt));
        _losses.Add(new Loss(isKill, absence, waited, ofReturn, ofNative));
        journal.Note(string.Create(CultureInfo.InvariantCulture,
            $"broker {broker.Id}, leader of {led.Count}, back after {absence.TotalSeconds:0} s: "
            + $"next write after {waited:0.00} s, the return cost {ofReturn:0.00} s, {Native} waited {ofNative:0.00} s"));
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

    /// <summary>Seconds until each partition has an acknowledged record from after the loss.</summary>
    private async Task<double> WaitAsync(IReadOnlyList<int> led, DateTime lost, Journal journal, CancellationToken stop)
    {
        double longest = 0;
        var waiting = new HashSet<int>(led);
        while (waiting.Count > 0)
        {
            double now = (DateTime.UtcNow - lost).TotalSeconds;
            if (waiting.RemoveWhere(partition => _newest.TryGetValue(partition, out DateTime sent) && sent > lost) > 0)
                longest = now;

            if (now > AnswerLimit.TotalSeconds)
            {
                journal.Find($"partitions {string.Join(',', waiting)} were not written to within {now:0} s");
                return now;
            }

            await Task.Delay(Poll, stop);
        }

        return longest;
    }

    private void OnAcknowledged(int partition, DateTime sent) =>
        _newest.AddOrUpdate(partition, sent, (_, before) => sent > before ? sent : before);

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
            Console.WriteLine(
                $"{Native}, without an acknowledgement: {kills.Length} kills: {Summary(kills.Select(loss => loss.OfNative))}; "
                + $"{silences.Length} silences: {Summary(silences.Select(loss => loss.OfNative))}");
        }

        return verdict.IsClean && journal.Findings.Count == 0;
    }

    private static string Summary(IEnumerable<double> seconds)
    {
        double[] ordered = [.. seconds.Order()];
        return ordered.Length == 0
            ? "none"
            : string.Create(CultureInfo.InvariantCulture, $"median {ordered[ordered.Length / 2]:0.00} s, worst {ordered[^1]:0.00} s");
    }

    /// <param name="Waited">Seconds until the partition that waited longest was written to again.</param>
    /// <param name="OfReturn">Seconds that a partition could not be written to when the broker came back.</param>
    /// <param name="OfNative">The longest time in seconds that the native client had no acknowledgement in a partition.</param>
    private sealed record Loss(bool IsKill, TimeSpan Absence, double Waited, double OfReturn, double OfNative);
}
