using System.Globalization;

namespace Arus.Chaos;

/// <summary>The command <c>run</c>: clients write and read while faults happen, then everything is compared.</summary>
internal sealed class ChaosRun(Options options)
{
    private const string TopicName = "chaos";

    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan CatchUpLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromMinutes(5);

    /// <summary>Between faults, so that what a fault costs is told from what the next does.</summary>
    private static readonly TimeSpan LeastRest = TimeSpan.FromSeconds(3);

    /// <summary>Of what was offered, how much must be acknowledged.</summary>
    private const double LeastShare = 0.5;

    private readonly List<FaultEvent> _faults = [];

    /// <summary>Answers the exit code.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        Journal journal = folder.Journal;
        journal.Note($"seed {options.Seed}, {options.Brokers} brokers, {options.Minutes} minutes, {options.Rate} records/s");

        // A single broker is one without a database, and nobody joins it.
        int room = options.Brokers == 1 ? 1 : options.Brokers + 1;
        await using Cluster cluster = await Cluster.StartAsync(
            options.Launch(), options.Brokers, folder.Root, journal, withSmallDisk: true, room);
        IReadOnlyList<Fault> kinds = options.FaultsFor(cluster);
        using var topic = new ChaosTopic(cluster, TopicName, options.Partitions);
        await topic.CreateAsync();
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"the new topic was not whole within {WholeLimit.TotalSeconds:0} s: {topic.Complaint()}");

        bool withNative = cluster.Launch.HasGateway && !options.IsWithoutNative;
        await using Workload workload = await Workload.StartAsync(
            cluster, topic, withNative ? [Workload.Idempotent, Workload.Default, Workload.Native] : [Workload.Idempotent, Workload.Default],
            options.Rate, journal);
        await MakeFaultsAsync(cluster, kinds, workload.Meter, journal, stop);
        IReadOnlyList<Gap> gaps = workload.Meter.Gaps();
        double seconds = workload.Meter.Now.TotalSeconds;

        await cluster.HealAsync();
        await workload.StopProducersAsync(FlushLimit);
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"the topic was not whole {WholeLimit.TotalSeconds:0} s after the last fault: {topic.Complaint()}");

        TopicContents log = await LogReader.ReadAsync(topic, "the log", journal, ReadLimit);
        foreach (GroupReader group in workload.Groups)
            await group.FinishAsync(log, CatchUpLimit);

        List<TopicContents> copies = await ReadCopiesAsync(cluster, topic, journal);
        Verdict verdict = Checker.Check(workload.Ledgers, log, [.. workload.Groups.Select(group => group.Served), .. copies]);
        return Report(folder, kinds, workload, gaps, verdict, seconds) ? 0 : 1;
    }

    private async Task MakeFaultsAsync(
        Cluster cluster, IReadOnlyList<Fault> kinds, AvailabilityMeter meter, Journal journal, CancellationToken stop)
    {
        var random = new Random(options.Seed);
        var schedule = new FaultSchedule(kinds, random, TimeSpan.FromSeconds(options.Interval));
        TimeSpan start = meter.Now;
        var length = TimeSpan.FromMinutes(options.Minutes);
        for (int slot = 0; kinds.Count > 0 && (slot + 1) * schedule.Slot <= length; slot++)
        {
            (Fault fault, TimeSpan delay) = schedule.Next();
            await WaitUntilAsync(start + (slot * schedule.Slot) + delay);
            if (_faults.Count > 0)
                await WaitUntilAsync(_faults[^1].End + LeastRest);

            var happening = new FaultEvent(fault.Kind, () => meter.Now);
            _faults.Add(happening);
            await fault.RunAsync(new FaultScene(cluster, journal, random, happening));
            happening.End = meter.Now;
        }

        await WaitUntilAsync(start + length);

        async Task WaitUntilAsync(TimeSpan time)
        {
            if (time > meter.Now)
                await Task.Delay(time - meter.Now, stop);
        }
    }

    /// <summary>Reads the topic again without each broker in turn, so that copies are read that do not lead while all are there.</summary>
    private static async Task<List<TopicContents>> ReadCopiesAsync(Cluster cluster, ChaosTopic topic, Journal journal)
    {
        var copies = new List<TopicContents>();
        foreach (Broker broker in cluster.ReplicationFactor > 1 ? cluster.Brokers : [])
        {
            await broker.StopAsync(Faults.StopLimit);
            if (await topic.IsLedWithoutAsync(broker.Id, WholeLimit))
                copies.Add(await LogReader.ReadAsync(topic, $"the log without broker {broker.Id}", journal, ReadLimit));
            else
                journal.Find($"without broker {broker.Id}, and nothing else wrong, partitions had no leader: {topic.Complaint()}");

            await cluster.StartAsync(broker);
            if (!await topic.IsWholeWithinAsync(WholeLimit))
                journal.Find($"the topic was not whole again after broker {broker.Id} was stopped and started: {topic.Complaint()}");
        }

        return copies;
    }

    /// <summary>Prints everything that was found; whether all is well.</summary>
    private bool Report(
        RunFolder folder, IReadOnlyList<Fault> kinds, Workload workload, IReadOnlyList<Gap> gaps, Verdict verdict, double seconds)
    {
        Journal journal = folder.Journal;
        long expected = (long)(seconds * options.Rate);
        foreach (Fault kind in kinds.Where(kind => _faults.All(fault => fault.Kind != kind.Kind)))
            journal.Find($"no {kind.Kind} happened: the run was too short");

        if (verdict.Acknowledged < expected * LeastShare)
            journal.Find($"{verdict.Acknowledged} records were acknowledged, less than half of the {expected} expected");

        Console.WriteLine();
        Console.WriteLine(FaultReport.Table(kinds, _faults, gaps, [.. workload.Ledgers.Select(ledger => ledger.Client)]));
        foreach (ProducerLedger ledger in workload.Ledgers)
            Console.WriteLine($"{ledger.Client}: sent {ledger.Sent}, acknowledged {ledger.Acknowledged}, given up {ledger.FailedCount}");

        foreach (GroupReader group in workload.Groups)
            Console.WriteLine($"{group.Served.Reader}: was given {group.Served.Count} records");

        Console.WriteLine($"in the log without an acknowledgement {verdict.Unanswered}; by retries that are not idempotent: "
            + $"doubled {verdict.DoubledByRetries}, reordered {verdict.ReorderedByRetries}");
        Console.WriteLine($"sent by nobody {verdict.Foreign}; served and then changed {verdict.Changed}; never served {verdict.Unread}");
        foreach (string example in verdict.Examples)
            journal.Note(example);

        foreach ((string finding, int times) in journal.Findings)
            Console.WriteLine($"finding, {times} times: {finding}");

        folder.IsClean = verdict.IsClean && journal.Findings.Count == 0;
        string rate = (verdict.Acknowledged / seconds).ToString("0", CultureInfo.InvariantCulture);
        Console.WriteLine($"{_faults.Count} faults in {seconds:0} s, {rate} acknowledged records/s of {options.Rate}, seed {options.Seed}");
        double longest = gaps.Where(gap => gap is { Client: null, Partition: not null }).Select(gap => gap.Length.TotalSeconds)
            .DefaultIfEmpty().Max();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"acknowledged {verdict.Acknowledged} lost {verdict.Lost} doubled {verdict.Doubled} "
            + $"reordered {verdict.Reordered} longest {longest:0.0} s"));
        return folder.IsClean;
    }
}
