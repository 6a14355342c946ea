using System.Globalization;
using Confluent.Kafka;

namespace Arus.Chaos;

/// <summary>
/// The command <c>throughput</c>: what three brokers take from one producer of librdkafka with acks=all when each record has three copies,
/// Arus and, with <c>--kafka</c>, Apache Kafka. They take turns, each round on new clusters, so that what else the machine does falls on
/// both.
/// </summary>
internal sealed class ThroughputRun(Options options)
{
    private const string Arus = "Arus";
    private const string Kafka = "Kafka";
    private const double Million = 1_000_000;

    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);

    /// <summary>Bytes of a record, and the part of <see cref="Options.Records"/> that a run of that size sends.</summary>
    private static readonly (int Size, int Part)[] Sizes = [(100, 1), (1024, 5)];

    private readonly List<Sample> _samples = [];

    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        for (int round = 1; round <= options.Rounds; round++)
        {
            foreach ((string flush, string product, BrokerLaunch launch) in Contenders())
            {
                stop.ThrowIfCancellationRequested();
                string directory = Path.Combine(folder.Root, $"{product}-{flush}-{round}");
                Directory.CreateDirectory(directory);
                await using (Cluster cluster = await Cluster.StartAsync(launch, options.Brokers, directory, folder.Journal))
                {
                    // Both sides compile what they use first: a broker runs for weeks.
                    foreach ((int size, int part) in Sizes)
                        await WarmUpAsync(cluster, size, options.Records / part, folder.Journal);

                    foreach ((int size, int part) in Sizes)
                        Measure(cluster, new Series(flush, product, size), round, options.Records / part, folder.Journal);
                }

                folder.DeleteData(directory);
            }
        }

        Report(folder.Journal);
        folder.IsClean = folder.Journal.Findings.Count == 0;
        return folder.IsClean ? 0 : 1;
    }

    private IEnumerable<(string Flush, string Product, BrokerLaunch Launch)> Contenders()
    {
        foreach (string flush in options.Flushes)
        {
            yield return (flush, Arus, new ArusLaunch(options.Server, [.. options.Flags, $"--arus.flush={flush}"]));
            if (options.Kafka is not null)
                yield return (flush, Kafka, new KafkaLaunch(options.Kafka, flush == "os" ? [] : ["log.flush.interval.messages=1"]));
        }
    }

    private ChaosTopic TopicOf(Cluster cluster, int size) => new(cluster, $"throughput-{size}", options.Partitions);

    private async Task WarmUpAsync(Cluster cluster, int size, int count, Journal journal)
    {
        using ChaosTopic topic = TopicOf(cluster, size);
        await topic.CreateAsync();
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"{cluster.Launch.Name}, {size} B: the topic was not whole: {topic.Complaint()}");

        Send(topic, size, count, journal);
    }

    private void Measure(Cluster cluster, Series series, int round, int count, Journal journal)
    {
        using ChaosTopic topic = TopicOf(cluster, series.Size);
        TimeSpan before = Processor(cluster);
        double rate = Send(topic, series.Size, count, journal);
        double processor = (Processor(cluster) - before).TotalSeconds / (count / Million);
        long memory = cluster.Brokers.Sum(broker => broker.Usage().ResidentBytes) >> 20;
        _samples.Add(new Sample(series, round, rate, processor, memory));
        journal.Note(string.Create(
            CultureInfo.InvariantCulture, $"{series}: {rate:0} records/s, {processor:0.00} s per million records, {memory} MiB"));
    }

    /// <summary>Medians of the rounds, and of the ratios of what ran in one round. To be behind is a finding.</summary>
    private void Report(Journal journal)
    {
        Console.WriteLine($"| {options.Brokers} brokers | flush | record | records/s | MB/s | Arus : Kafka | "
            + "processor s per million records | memory, MiB |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        foreach (IGrouping<Series, Sample> group in _samples.GroupBy(sample => sample.Series))
        {
            Series series = group.Key;
            double rate = Median(group.Select(sample => sample.Rate));
            double processor = Median(group.Select(sample => sample.Processor));
            double memory = Median(group.Select(sample => sample.Memory));
            double[] ratios = RatiosOf(series, sample => sample.Rate);
            if (ratios.Length > 0 && Median(ratios) < 1)
                journal.Find($"{series}: fewer records a second than Apache Kafka takes");

            if (ratios.Length > 0 && Median(RatiosOf(series, sample => sample.Memory)) > 1)
                journal.Find($"{series}: more memory than Apache Kafka needs");

            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {series.Product} | {series.Flush} | {series.Size} B | {rate:0} | {rate * series.Size / Million:0} | {Text(ratios)} | "
                + $"{processor:0.00} | {memory:0} |"));
        }
    }

    /// <summary>Of a series of Arus to that of Kafka, in each round; none without Kafka.</summary>
    private double[] RatiosOf(Series series, Func<Sample, double> figure) =>
    [
        .. from ours in _samples
           where ours.Series == series && series.Product == Arus
           from theirs in _samples
           where theirs.Series == series with { Product = Kafka } && theirs.Round == ours.Round
           select figure(ours) / figure(theirs),
    ];

    private static string Text(double[] ratios) => ratios.Length == 0
        ? ""
        : string.Create(CultureInfo.InvariantCulture, $"{Median(ratios):0.00} ({ratios.Min():0.00} to {ratios.Max():0.00})");

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static TimeSpan Processor(Cluster cluster) =>
        TimeSpan.FromTicks(cluster.Brokers.Sum(broker => broker.Usage().Processor.Ticks));

    /// <summary>Records a second, from the first call until the last acknowledgement.</summary>
    private static double Send(ChaosTopic topic, int size, int count, Journal journal)
    {
        var config = new ProducerConfig
        {
            BootstrapServers = topic.Bootstrap,
            Acks = Acks.All,
            LingerMs = 5,
            BatchNumMessages = 100_000,
            QueueBufferingMaxMessages = 1_000_000,
            QueueBufferingMaxKbytes = 512 * 1024,
            EnableDeliveryReports = false,
        };
        using IProducer<Null, byte[]> producer = new ProducerBuilder<Null, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        var message = new Message<Null, byte[]> { Value = new byte[size] };
        new Random(size).NextBytes(message.Value);
        long start = TimeProvider.System.GetTimestamp();
        for (int i = 0; i < count; i++)
            Produce(producer, new Confluent.Kafka.TopicPartition(topic.Name, i % topic.Partitions), message);

        int left = producer.Flush(FlushLimit);
        if (left > 0)
            journal.Find($"{left} records of {count} were not acknowledged within {FlushLimit.TotalSeconds:0} s");

        return count / TimeProvider.System.GetElapsedTime(start).TotalSeconds;
    }

    private static void Produce(
        IProducer<Null, byte[]> producer, Confluent.Kafka.TopicPartition partition, Message<Null, byte[]> message)
    {
        while (true)
        {
            try
            {
                producer.Produce(partition, message);
                return;
            }
            catch (ProduceException<Null, byte[]> e) when (e.Error.Code == Confluent.Kafka.ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
    }

    /// <summary>What is measured once in each round.</summary>
    /// <param name="Size">Bytes of a record's value.</param>
    private sealed record Series(string Flush, string Product, int Size)
    {
        public override string ToString() => $"{Product} {Flush}, {Size} B";
    }

    /// <param name="Rate">Records a second.</param>
    /// <param name="Processor">Seconds that the brokers took for a million records.</param>
    /// <param name="Memory">MiB that the brokers have resident after the run.</param>
    private sealed record Sample(Series Series, int Round, double Rate, double Processor, double Memory);
}
