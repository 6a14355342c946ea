using Arus.Client;

namespace Arus.Chaos;

/// <summary>
/// The command <c>scale</c>: a cluster grows from one broker to three and to five and goes back to three, while clients write and read;
/// then every broker is stopped and started again, twice over. No client may be told an error, nothing may be lost, doubled or reordered,
/// and after each step every broker leads and keeps within a tenth of its even share.
/// </summary>
internal sealed class ScaleRun(Options options)
{
    private const string TopicName = "scale";
    private const int First = 1;
    private const int Middle = 3;
    private const int Most = 5;
    private const int Rounds = 2;

    /// <summary>Partitions and their three copies divide evenly among three and five brokers.</summary>
    private const int DefaultPartitions = 60;

    private static readonly TimeSpan EvenLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan WholeLimit = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan CatchUpLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ReadLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(500);

    private readonly int _partitions = options.PartitionsAsked ?? DefaultPartitions;

    /// <summary>Answers the exit code: 1 if an error surfaced, anything was lost or a step did not end evenly.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        Journal journal = folder.Journal;
        await using Cluster cluster = await Cluster.StartAsync(options.Launch(), First, folder.Root, journal, room: Most);
        using var topic = new ChaosTopic(cluster, TopicName, _partitions);
        await topic.CreateAsync();
        var latency = new LatencyMeter();
        await using Workload workload = await Workload.StartAsync(
            cluster, topic, [Workload.Idempotent, Workload.Default, Workload.Native], options.Rate, journal,
            (_, sent) => latency.Acknowledged(sent));
        await using NativeConnection operating = await NativeConnection.ConnectAsync(cluster, journal);
        var steps = new ScaleSteps(cluster, workload.Meter, latency, journal, TimeSpan.FromSeconds(options.Rest), stop);

        await GrowAndShrinkAsync(cluster, topic, operating.Client.Admin, steps, stop);
        for (int round = 1; round <= Rounds; round++)
        {
            foreach (Broker broker in cluster.Brokers)
                await steps.RunAsync($"restart {round} of broker {broker.Id}", () => RestartAsync(cluster, broker, topic, journal));
        }

        await workload.StopProducersAsync(FlushLimit);
        TopicContents log = await LogReader.ReadAsync(topic, "the log", journal, ReadLimit);
        foreach (GroupReader group in workload.Groups)
            await group.FinishAsync(log, CatchUpLimit);

        Verdict verdict = Checker.Check(workload.Ledgers, log, [.. workload.Groups.Select(group => group.Served)]);
        folder.IsClean = Report(journal, workload, steps, verdict);
        return folder.IsClean ? 0 : 1;
    }

    private async Task GrowAndShrinkAsync(
        Cluster cluster, ChaosTopic topic, IArusAdmin admin, ScaleSteps steps, CancellationToken stop)
    {
        await steps.RunAsync("from 1 to 3 brokers", async () =>
        {
            while (cluster.Brokers.Count < Middle)
                await cluster.AddBrokerAsync();

            await EvenAsync(cluster, admin, steps, stop);
        });
        await steps.RunAsync("from 1 to 3 copies", async () =>
        {
            await AddCopiesAsync(cluster, topic, admin, stop);
            if (!await topic.IsWholeWithinAsync(WholeLimit))
                steps.Find($"the topic was not whole: {topic.Complaint()}");

            await EvenAsync(cluster, admin, steps, stop);
            await admin.AlterTopicConfigsAsync(TopicName, [new ConfigChange("min.insync.replicas", ConfigOperation.Set, "2")], stop);
        });
        await steps.RunAsync("from 3 to 5 brokers", async () =>
        {
            while (cluster.Brokers.Count < Most)
                await cluster.AddBrokerAsync();

            await EvenAsync(cluster, admin, steps, stop);
        });
        await steps.RunAsync("from 5 to 3 brokers", async () =>
        {
            for (int id = Most; id > Middle; id--)
                await admin.DrainBrokerAsync(id, undo: false, stop);

            await DrainedAsync(admin, steps, stop);
            while (cluster.Brokers.Count > Middle)
                await cluster.RemoveBrokerAsync(Faults.StopLimit);

            await EvenAsync(cluster, admin, steps, stop);
        });
    }

    /// <summary>Two more replicas for every partition, on the brokers that follow its leader's.</summary>
    private static async Task AddCopiesAsync(Cluster cluster, ChaosTopic topic, IArusAdmin admin, CancellationToken stop)
    {
        NewReassignment[] wishes =
        [
            .. from broker in cluster.Brokers
               from partition in topic.LedBy(broker.Id)
               select new NewReassignment(
                   new TopicPartition(TopicName, partition),
                   [.. Enumerable.Range(0, Middle).Select(i => ((broker.Id - 1 + i) % Middle) + 1)]),
        ];
        foreach (PartitionOutcome outcome in await admin.AlterPartitionReassignmentsAsync(wishes, stop))
        {
            if (outcome.Error != ErrorCode.None)
                throw new ChaosException($"{outcome.Partition} was not given three replicas: {outcome.Error}: {outcome.Message}");
        }
    }

    /// <summary>Waits until nothing moves any more and every broker leads, keeps and stores within a tenth of an even share.</summary>
    private static async Task EvenAsync(Cluster cluster, IArusAdmin admin, ScaleSteps steps, CancellationToken stop)
    {
        string complaint = "";
        bool IsEven(ClusterBalance balance)
        {
            complaint = ScaleSteps.Unevenness(cluster, balance);
            return complaint.Length == 0;
        }

        if (!await ComesAsync(admin, IsEven, stop))
            steps.Find($"not even after {EvenLimit.TotalSeconds:0} s: {complaint}");
    }

    private static async Task DrainedAsync(IArusAdmin admin, ScaleSteps steps, CancellationToken stop)
    {
        if (!await ComesAsync(admin, balance => balance.Brokers.All(b => b.Remaining == 0 && (!b.IsDraining || b.Replicas == 0)), stop))
            steps.Find($"not drained after {EvenLimit.TotalSeconds:0} s");
    }

    private static async Task<bool> ComesAsync(IArusAdmin admin, Predicate<ClusterBalance> isReached, CancellationToken stop)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!isReached(await admin.DescribeBalanceAsync(stop)))
        {
            if (TimeProvider.System.GetElapsedTime(start) > EvenLimit)
                return false;

            await Task.Delay(PollPause, stop);
        }

        return true;
    }

    private static async Task RestartAsync(Cluster cluster, Broker broker, ChaosTopic topic, Journal journal)
    {
        if (await broker.StopAsync(Faults.StopLimit) is null)
            journal.Find($"broker {broker.Id} did not stop within {Faults.StopLimit.TotalSeconds:0} s of SIGTERM");

        await cluster.StartAsync(broker);
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"not whole {WholeLimit.TotalSeconds:0} s after the restart of broker {broker.Id}: {topic.Complaint()}");
    }

    private static bool Report(Journal journal, Workload workload, ScaleSteps steps, Verdict verdict)
    {
        foreach (ProducerLedger ledger in workload.Ledgers.Where(ledger => ledger.FailedCount > 0))
            journal.Find($"{ledger.Client} was told {ledger.FailedCount} errors");

        Console.WriteLine();
        Console.WriteLine(steps.Table());
        foreach (string example in verdict.Examples)
            journal.Note(example);

        foreach ((string finding, int times) in journal.Findings)
            Console.WriteLine($"finding, {times} times: {finding}");

        Console.WriteLine($"acknowledged {verdict.Acknowledged} lost {verdict.Lost} doubled {verdict.Doubled} "
            + $"reordered {verdict.Reordered} errors {workload.Ledgers.Sum(ledger => ledger.FailedCount)}");
        return verdict.IsClean && journal.Findings.Count == 0;
    }
}
