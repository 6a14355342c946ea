using System.Globalization;
using Confluent.Kafka;

namespace Arus.Chaos;

/// <summary>
/// The command <c>throughput</c>: what three brokers take from one producer of librdkafka with acks=all when each record has three copies,
/// Arus and, with <c>--kafka</c>, Apache Kafka one after the other on the same machine.
/// </summary>
internal sealed class ThroughputRun(Options options)
{
    private const int Rounds = 3;
    private const double Million = 1_000_000;

    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(120);

    public async Task<int> RunAsync(CancellationToken stop)
    {
        using var folder = new RunFolder(options);
        var results = new List<string>();
        foreach ((string name, BrokerLaunch launch) in Contenders())
        {
            stop.ThrowIfCancellationRequested();
            string directory = Path.Combine(folder.Root, name.Replace(' ', '-'));
            Directory.CreateDirectory(directory);
            await using Cluster cluster = await Cluster.StartAsync(launch, options.Brokers, directory, folder.Journal);
            results.Add(await MeasureAsync(cluster, name, 100, options.Records, folder.Journal));
            results.Add(await MeasureAsync(cluster, name, 1024, options.Records / 5, folder.Journal));
        }

        Console.WriteLine($"| {options.Brokers} brokers | record | records/s | MB/s | processor s per million records | memory, MiB |");
        Console.WriteLine("|---|---|---|---|---|---|");
        results.ForEach(Console.WriteLine);
        folder.IsClean = folder.Journal.Findings.Count == 0;
        return folder.IsClean ? 0 : 1;
    }

    private IEnumerable<(string Name, BrokerLaunch Launch)> Contenders()
    {
        yield return ("Arus os", new ArusLaunch(options.Server, [.. options.Flags, "--arus.flush=os"]));
        if (options.Kafka is not null)
            yield return ("Kafka os", new KafkaLaunch(options.Kafka, []));

        yield return ("Arus always", new ArusLaunch(options.Server, [.. options.Flags, "--arus.flush=always"]));
        if (options.Kafka is not null)
            yield return ("Kafka always", new KafkaLaunch(options.Kafka, ["log.flush.interval.messages=1"]));
    }

    /// <summary>The median of some rounds, after one to warm up, as a row of the table.</summary>
    private async Task<string> MeasureAsync(Cluster cluster, string name, int size, int count, Journal journal)
    {
        using var topic = new ChaosTopic(cluster, $"throughput-{size}", options.Partitions);
        await topic.CreateAsync();
        if (!await topic.IsWholeWithinAsync(WholeLimit))
            journal.Find($"{name}: the topic was not whole: {topic.Complaint()}");

        Send(topic, size, count / 2, journal);
        TimeSpan before = Processor(cluster);
        double[] rates = [.. Enumerable.Range(0, Rounds).Select(_ => Send(topic, size, count, journal)).Order()];
        double processor = (Processor(cluster) - before).TotalSeconds / (Rounds * count / Million);
        long memory = cluster.Brokers.Sum(broker => broker.Usage().ResidentBytes) >> 20;
        double rate = rates[Rounds / 2];
        journal.Note(string.Create(CultureInfo.InvariantCulture, $"{name}, {size} B: {rate:0} records/s"));
        return string.Create(CultureInfo.InvariantCulture,
            $"| {name} | {size} B | {rate:0} | {rate * size / Million:0} | {processor:0.00} | {memory} |");
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
}
