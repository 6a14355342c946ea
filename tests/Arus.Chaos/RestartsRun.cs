using System.Globalization;

namespace Arus.Chaos;

/// <summary>
/// The command <c>restarts</c>: every broker is ended and started again at once, several times in a row, by SIGTERM and by kill -9 in
/// turn, while producers write to all partitions of a topic in files and of one in the database. What counts is how long, from the moment
/// that the broker is ready, a partition takes to acknowledge a new record.
/// </summary>
internal sealed class RestartsRun(Options options)
{
    private const string Client = "librdkafka default";
    private const int PerPartition = 20;

    private static readonly TimeSpan AnswerGoal = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromMinutes(5);

    private readonly List<double> _seconds = [];

    /// <summary>Answers the exit code: 1 if a partition took longer than 5 s or anything was lost.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        Journal journal = folder.Journal;
        await using Cluster cluster = await Cluster.StartAsync(options.Launch(), options.Brokers, folder.Root, journal);
        await using Written files = await WriteAsync(cluster, "files", inDatabase: false, journal);
        await using Written? rows = cluster.Database is null ? null : await WriteAsync(cluster, "rows", inDatabase: true, journal);
        Written[] all = rows is null ? [files] : [files, rows];
        foreach (Broker broker in cluster.Brokers)
        {
            foreach (Written written in all)
            {
                if (!await written.Topic.IsWholeWithinAsync(WholeLimit))
                    journal.Find($"{written.Topic.Name} is not whole before broker {broker.Id}'s turn: {written.Topic.Complaint()}");
            }

            for (int i = 0; i < options.Restarts; i++)
                await RestartAsync(cluster, broker, isKill: i % 2 == 1, all, journal, stop);
        }

        foreach (Written written in all)
            await written.Producer.StopAsync(FlushLimit);

        folder.IsClean = await ReportAsync(cluster, all, journal);
        return folder.IsClean ? 0 : 1;
    }

    private async Task<Written> WriteAsync(Cluster cluster, string name, bool inDatabase, Journal journal)
    {
        var topic = new ChaosTopic(cluster, name, options.Partitions, inDatabase);
        await topic.CreateAsync();
        var ledger = new ProducerLedger(1, Client, isIdempotent: false, options.Partitions);
        var watch = new WriteWatch(journal);
        var meter = new AvailabilityMeter(TimeProvider.System, [Client], options.Partitions);
        var producer = new KafkaProducer(topic, ledger, meter, journal, watch.Acknowledged);
        producer.Start(PerPartition * options.Partitions);
        return new Written(topic, producer, watch);
    }

    private async Task RestartAsync(
        Cluster cluster, Broker broker, bool isKill, IReadOnlyList<Written> all, Journal journal, CancellationToken stop)
    {
        if (isKill)
            await broker.KillAsync();
        else if (await broker.StopAsync(Faults.StopLimit) is null)
            journal.Find($"broker {broker.Id} did not stop within {Faults.StopLimit.TotalSeconds:0} s of SIGTERM");

        await cluster.StartAsync(broker);
        DateTime ready = DateTime.UtcNow;
        double[] waited = await Task.WhenAll(
            all.Select(written => written.Watch.WaitAsync(Enumerable.Range(0, options.Partitions), ready, stop)));
        string text = string.Join(", ", all.Zip(waited, (written, seconds) =>
            string.Create(CultureInfo.InvariantCulture, $"{written.Topic.Name} {seconds:0.00} s")));
        journal.Note($"broker {broker.Id} after {(isKill ? "kill -9" : "SIGTERM")}: all partitions of {text}");
        _seconds.Add(waited.Max());
        if (waited.Max() > AnswerGoal.TotalSeconds)
            journal.Find($"a partition took no record for longer than {AnswerGoal.TotalSeconds:0} s after broker {broker.Id} was ready");
    }

    private async Task<bool> ReportAsync(Cluster cluster, IReadOnlyList<Written> all, Journal journal)
    {
        bool isClean = true;
        foreach (Written written in all)
        {
            Verdict verdict = Checker.Check(
                [written.Producer.Ledger], await LogReader.ReadAsync(written.Topic, written.Topic.Name, journal, ReadLimit), []);
            foreach (string example in verdict.Examples)
                journal.Note(example);

            Console.WriteLine($"{written.Topic.Name}: acknowledged {verdict.Acknowledged} lost {verdict.Lost}");
            isClean &= verdict.IsClean;
        }

        foreach ((string finding, int times) in journal.Findings)
            Console.WriteLine($"finding, {times} times: {finding}");

        double[] ordered = [.. _seconds.Order()];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{cluster.Launch.Name}: {ordered.Length} restarts of {cluster.Brokers.Count} brokers: all partitions answered "
            + $"{ordered[ordered.Length / 2]:0.00} s (median) to {ordered[^1]:0.00} s (worst) after the broker was ready"));
        return isClean && journal.Findings.Count == 0;
    }

    /// <summary>A topic and who writes to it.</summary>
    private sealed record Written(ChaosTopic Topic, KafkaProducer Producer, WriteWatch Watch) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Producer.DisposeAsync();
            Topic.Dispose();
        }
    }
}
