using System.Buffers.Binary;
using System.CommandLine;
using System.Globalization;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus bench …</c>: how fast this cluster is from here.</summary>
internal static class BenchCommands
{
    /// <summary>A record of the latency benchmark begins with the time at which it was due.</summary>
    private const int StampBytes = sizeof(long);

    /// <summary>Records of a poll: many, since a poll has its price.</summary>
    private const int MaxPollRecords = 10_000;

    private static readonly Argument<string> Topic = new("topic") { Description = "an existing topic" };
    private static readonly Option<int> Records =
        new("--records", "-n") { Description = "how many records", DefaultValueFactory = _ => 1_000_000 };
    private static readonly Option<int> Size =
        new("--size", "-s") { Description = "bytes of a record's value", DefaultValueFactory = _ => 100 };
    private static readonly Option<CompressionType> Codec =
        new("--compression", "-z") { HelpName = "codec", Description = "none, gzip, snappy, lz4 or zstd" };
    private static readonly Option<int> Linger =
        new("--linger") { Description = "milliseconds that a batch waits to fill", DefaultValueFactory = _ => 5 };
    private static readonly Option<int> BatchBytes =
        new("--batch-bytes") { Description = "bytes of a batch", DefaultValueFactory = _ => 256 * 1024 };
    private static readonly Option<int> Rate = new("--rate") { Description = "records a second", DefaultValueFactory = _ => 1_000 };
    private static readonly Option<int> Seconds = new("--seconds") { Description = "how long", DefaultValueFactory = _ => 10 };

    private static readonly Option<int> WarmupRecords = new("--warmup")
    {
        Description = "records before those that count, while the program's code is compiled", DefaultValueFactory = _ => 0,
    };

    private static readonly Option<int> WarmupSeconds = new("--warmup")
    {
        Description = "seconds before those that count, while the program's code is compiled", DefaultValueFactory = _ => 5,
    };

    static BenchCommands()
    {
        WarmupRecords.Validators.Add(result => RequireAtLeast(result, 0, "--warmup"));
        WarmupSeconds.Validators.Add(result => RequireAtLeast(result, 0, "--warmup"));
        Records.Validators.Add(result => RequireAtLeast(result, 1, "--records"));
        Seconds.Validators.Add(result => RequireAtLeast(result, 1, "--seconds"));
        Size.Validators.Add(result => RequireAtLeast(result, StampBytes, "--size"));
        Rate.Validators.Add(result => RequireAtLeast(result, 1, "--rate"));
    }

    public static Command Build(Application application) => new("bench", "Measure producing, consuming and latency.")
    {
        Produce(application), Consume(application), Latency(application),
    };

    private static Command Produce(Application application) =>
        application.Connected(
            new Command(
                "produce", "Append random records as fast as it goes.") { Topic, Records, WarmupRecords, Size, Codec, Linger, BatchBytes },
            async (connection, arguments, cancellationToken) =>
            {
                byte[][] payloads = RandomPayloads(arguments.GetValue(Size));
                string topic = arguments.GetRequiredValue(Topic);
                LiveCounter counter;
                IProducer<byte[], byte[]> producer = connection.Client.CreateProducer<byte[], byte[]>(Options(arguments));
                await using (producer.ConfigureAwait(false))
                {
                    await AppendAsync(
                        producer, topic, payloads, arguments.GetValue(WarmupRecords), counter: null,
                        cancellationToken).ConfigureAwait(false);
                    counter = new LiveCounter(application.Terminal, TimeProvider.System);
                    await counter.ShowAsync(
                        "produced", () =>
                            AppendAsync(
                                producer, topic, payloads, arguments.GetValue(Records), counter, cancellationToken)).ConfigureAwait(false);
                }

                Report(application, arguments, counter, "produced");
                return ExitCode.Success;
            });

    private static async Task<bool> AppendAsync(
        IProducer<byte[], byte[]> producer, string topic, byte[][] payloads, int records, LiveCounter? counter,
        CancellationToken cancellationToken)
    {
        for (int i = 0; i < records; i++)
        {
            await producer.EnqueueAsync(new(topic, null, payloads[i % payloads.Length]), cancellationToken).ConfigureAwait(false);
            counter?.Add(1, payloads[0].Length);
        }

        await producer.FlushAsync(cancellationToken).ConfigureAwait(false);
        return true;
    }

    private static Command Consume(Application application) =>
        application.Connected(
            new Command("consume", "Read records from the beginning as fast as it goes.") { Topic, Records, WarmupRecords },
            async (connection, arguments, cancellationToken) =>
            {
                string topic = arguments.GetRequiredValue(Topic);
                TopicDescription description = await connection.Admin.DescribeTopicAsync(topic, cancellationToken).ConfigureAwait(false);
                int records = arguments.GetValue(Records);
                int warmup = arguments.GetValue(WarmupRecords);
                LiveCounter counter;
                var options = new ConsumerOptions
                {
                    AutoOffsetReset = AutoOffsetReset.Earliest,

                    // The last poll of the warm-up may bring more than it needs, but always leaves something to count.
                    MaxPollRecords = warmup > 0 ? Math.Min(MaxPollRecords, records) : MaxPollRecords,
                };
                IConsumer<byte[], ReadOnlyMemory<byte>> consumer = connection.Client.CreateConsumer<byte[], ReadOnlyMemory<byte>>(options);
                await using (consumer.ConfigureAwait(false))
                {
                    consumer.Assign([.. description.Partitions.Select(
                        p => new TopicPartitionOffset(topic, p.Partition, TopicPartitionOffset.Beginning))]);
                    int read = await ReadAsync(consumer, warmup, counter: null, cancellationToken).ConfigureAwait(false);
                    int wanted = LeftToMeasure(application.Terminal, topic, records, warmup, read);
                    counter = new LiveCounter(application.Terminal, TimeProvider.System);
                    await counter.ShowAsync(
                        "consumed", () => ReadAsync(consumer, wanted, counter, cancellationToken)).ConfigureAwait(false);
                }

                Report(application, arguments, counter, "consumed");
                return ExitCode.Success;
            });

    /// <summary>
    /// How many records there are to measure after a warm-up that read so many. There may be no more than were asked for, so what it read
    /// beyond its need is not measured; that is said, so that nobody wonders at the count.
    /// </summary>
    private static int LeftToMeasure(Terminal terminal, string topic, int records, int warmup, int read)
    {
        if (read < warmup)
        {
            terminal.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"arus: topic {topic} gave {read:N0} records, fewer than --warmup ({warmup:N0}); none are left to measure."));
            return 0;
        }

        int left = records - (read - warmup);
        if (left < records)
        {
            terminal.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"arus: the warm-up read {read:N0} records in whole polls instead of {warmup:N0}; {left:N0} are left to measure."));
        }

        return left;
    }

    /// <summary>Reads so many records or a few more, or fewer when no more come, and answers how many.</summary>
    private static async Task<int> ReadAsync(
        IConsumer<byte[], ReadOnlyMemory<byte>> consumer, int wanted, LiveCounter? counter, CancellationToken cancellationToken)
    {
        int read = 0;
        while (read < wanted)
        {
            var records = await consumer.PollAsync(TimeSpan.FromSeconds(5), cancellationToken).ConfigureAwait(false);
            if (records.Count == 0)
                break;

            read += records.Count;
            counter?.Add(records.Count, records.Sum(r => (long)r.Value.Length));
        }

        return read;
    }

    private static Command Latency(Application application) =>
        application.Connected(
            new Command("latency", "Measure the time from when a record is due until a consumer has it.") 
            {
                Topic, Rate, Seconds, WarmupSeconds, Size, Codec, Linger, BatchBytes,
            },
            async (connection, arguments, cancellationToken) =>
            {
                LatencyMeter meter = await MeasureLatencyAsync(
                    connection.Client, arguments, application.Terminal, cancellationToken).ConfigureAwait(false);
                var result = new
                {
                    Records = meter.MeasuredRecords,
                    WarmupSeconds = arguments.GetValue(WarmupSeconds),
                    WarmupRecords = meter.WarmupRecords,
                    P50Ms = meter.Percentile(50).TotalMilliseconds,
                    P99Ms = meter.Percentile(99).TotalMilliseconds,
                    P999Ms = meter.Percentile(99.9).TotalMilliseconds,
                    MaxMs = meter.Max.TotalMilliseconds,
                };
                if (arguments.GetValue(GlobalOptions.Json))
                {
                    application.Terminal.WriteJson(result);
                }
                else
                {
                    application.Terminal.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"{result.Records:N0} records after {result.WarmupSeconds} s of warm-up: p50 {result.P50Ms:N2} ms, "
                        + $"p99 {result.P99Ms:N2} ms, p99.9 {result.P999Ms:N2} ms, max {result.MaxMs:N2} ms"));
                }

                return ExitCode.Success;
            });

    private static async Task<LatencyMeter> MeasureLatencyAsync(
        IArusClient client, ParseResult arguments, Terminal terminal, CancellationToken cancellationToken)
    {
        string topic = arguments.GetRequiredValue(Topic);
        int rate = arguments.GetValue(Rate);
        int warmup = arguments.GetValue(WarmupSeconds);
        int total = rate * (warmup + arguments.GetValue(Seconds));
        TopicDescription description = await client.Admin.DescribeTopicAsync(topic, cancellationToken).ConfigureAwait(false);
        TopicPartition[] partitions = [.. description.Partitions.Select(p => new TopicPartition(topic, p.Partition))];
        TopicPartitionOffset[] ends = await client.Admin.ListOffsetsAsync(
            partitions, OffsetSpec.Latest, cancellationToken).ConfigureAwait(false);
        IConsumer<byte[], byte[]> consumer = client.CreateConsumer<byte[], byte[]>(new ConsumerOptions { MaxPollRecords = MaxPollRecords });
        IProducer<byte[], byte[]> producer = client.CreateProducer<byte[], byte[]>(Options(arguments));
        await using (consumer.ConfigureAwait(false))
        await using (producer.ConfigureAwait(false))
        {
            consumer.Assign(ends);
            var meter = new LatencyMeter(TimeSpan.FromSeconds(warmup));
            var counter = new LiveCounter(terminal, TimeProvider.System);
            long start = TimeProvider.System.GetTimestamp();
            var throttle = new Throttle(rate, TimeProvider.System);
            await counter.ShowAsync("measured", async () =>
            {
                Task sending = SendAsync(producer, topic, RandomPayloads(arguments.GetValue(Size)), total, throttle, cancellationToken);
                while (meter.Count < total)
                {
                    foreach (ConsumeResult<byte[],
                        byte[]> record in await consumer.PollAsync(TimeSpan.FromSeconds(1), cancellationToken).ConfigureAwait(false))
                    {
                        var due = new TimeSpan(BinaryPrimitives.ReadInt64LittleEndian(record.Value));
                        meter.Record(due, TimeProvider.System.GetElapsedTime(start));
                        counter.Add(1, record.Value!.Length);
                    }

                    if (sending.IsFaulted)
                        break;
                }

                await sending.ConfigureAwait(false);
                return true;
            }).ConfigureAwait(false);
            return meter;
        }
    }

    private static async Task SendAsync(
        IProducer<byte[], byte[]> producer, string topic, byte[][] payloads, int total, Throttle throttle,
        CancellationToken cancellationToken)
    {
        for (int i = 0; i < total; i++)
        {
            TimeSpan due = await throttle.WaitAsync(cancellationToken).ConfigureAwait(false);
            byte[] value = payloads[i % payloads.Length].AsSpan().ToArray();
            BinaryPrimitives.WriteInt64LittleEndian(value, due.Ticks);
            await producer.EnqueueAsync(new(topic, null, value), cancellationToken).ConfigureAwait(false);
        }

        await producer.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static ProducerOptions Options(ParseResult arguments) => new()
    {
        Compression = arguments.GetValue(Codec),
        Linger = TimeSpan.FromMilliseconds(arguments.GetValue(Linger)),
        BatchSize = arguments.GetValue(BatchBytes),
    };

    /// <summary>
    /// Random, so that compression has as little to gain as with data that somebody else compressed; seeded, so that runs compare.
    /// </summary>
    private static byte[][] RandomPayloads(int size)
    {
        var random = new Random(Seed: 42);
        return [.. Enumerable.Range(0, 1_000).Select(_ =>
        {
            byte[] payload = new byte[size];
            random.NextBytes(payload);
            return payload;
        })];
    }

    private static void Report(Application application, ParseResult arguments, LiveCounter counter, string verb)
    {
        if (arguments.GetValue(GlobalOptions.Json))
            application.Terminal.WriteJson(counter.Summary());
        else
            application.Terminal.WriteLine(counter.Describe(verb));
    }

    private static void RequireAtLeast(System.CommandLine.Parsing.OptionResult result, int minimum, string name)
    {
        if (result.Tokens.Count > 0 && int.TryParse(result.Tokens[0].Value, out int value) && value < minimum)
            result.AddError($"{name} is {value}; it must be {minimum} or more.");
    }
}
