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
    private static readonly Option<int> Records = Number("how many records", 1_000_000, min: 1, "--records", "-n");
    private static readonly Option<int> Size = Number("bytes of a record's value", 100, StampBytes, "--size", "-s");
    private static readonly Option<int> Linger = Number("milliseconds that a batch waits to fill", 5, int.MinValue, "--linger");
    private static readonly Option<int> BatchBytes = Number("bytes of a batch", 256 * 1024, int.MinValue, "--batch-bytes");
    private static readonly Option<int> Rate = Number("records a second", 1_000, min: 1, "--rate");
    private static readonly Option<int> Seconds = Number("how long", 10, min: 1, "--seconds");
    private static readonly Option<int> WarmupRecords =
        Number("records before those that count, while the program's code is compiled", 0, min: 0, "--warmup");
    private static readonly Option<int> WarmupSeconds =
        Number("seconds before those that count, while the program's code is compiled", 5, min: 0, "--warmup");

    public static Command Build(Application application) => new("bench", "Measure producing, consuming and latency.")
    {
        application.Connected(
            new Command("produce", "Append random records as fast as it goes.")
            {
                Topic, Records, WarmupRecords, Size, ProduceCommand.Codec, Linger, BatchBytes,
            },
            ProduceAsync),
        application.Connected(
            new Command("consume", "Read records from the beginning as fast as it goes.") { Topic, Records, WarmupRecords }, ConsumeAsync),
        application.Connected(
            new Command("latency", "Measure the time from when a record is due until a consumer has it.")
            {
                Topic, Rate, Seconds, WarmupSeconds, Size, ProduceCommand.Codec, Linger, BatchBytes,
            },
            LatencyAsync),
    };

    private static Option<int> Number(string description, int value, int min, string name, params string[] aliases) =>
        new Option<int>(name, aliases) { Description = description, DefaultValueFactory = _ => value }.AtLeast(min);

    private static async Task ProduceAsync(CommandRun run)
    {
        LiveCounter counter;
        await using (IProducer<byte[], byte[]> producer = CreateProducer(run))
        {
            byte[][] payloads = RandomPayloads(run.Get(Size));
            await AppendAsync(run, producer, payloads, run.Get(WarmupRecords), counter: null);
            counter = new LiveCounter(run.Terminal, TimeProvider.System);
            await counter.ShowAsync("produced", () => AppendAsync(run, producer, payloads, run.Get(Records), counter));
        }

        run.Write(counter.Summary(), counter.Describe("produced"));
    }

    private static async Task AppendAsync(
        CommandRun run, IProducer<byte[], byte[]> producer, byte[][] payloads, int records, LiveCounter? counter)
    {
        string topic = run.Get(Topic);
        for (int i = 0; i < records; i++)
        {
            await producer.EnqueueAsync(new(topic, null, payloads[i % payloads.Length]), run.Cancellation);
            counter?.Add(1, payloads[0].Length);
        }

        await producer.FlushAsync(run.Cancellation);
    }

    private static async Task ConsumeAsync(CommandRun run)
    {
        TopicPartition[] partitions = await run.PartitionsAsync(run.Get(Topic));
        int warmup = run.Get(WarmupRecords);
        LiveCounter counter;
        var options = new ConsumerOptions
        {
            AutoOffsetReset = AutoOffsetReset.Earliest,

            // The last poll of the warm-up may bring more than it needs, but always leaves something to count.
            MaxPollRecords = warmup > 0 ? Math.Min(MaxPollRecords, run.Get(Records)) : MaxPollRecords,
        };
        await using (var consumer = run.Client.CreateConsumer<byte[], ReadOnlyMemory<byte>>(options))
        {
            consumer.Assign([.. partitions.Select(p => new TopicPartitionOffset(p, TopicPartitionOffset.Beginning))]);
            int wanted = LeftToMeasure(run, await ReadAsync(consumer, warmup, counter: null, run.Cancellation));
            counter = new LiveCounter(run.Terminal, TimeProvider.System);
            await counter.ShowAsync("consumed", () => ReadAsync(consumer, wanted, counter, run.Cancellation));
        }

        run.Write(counter.Summary(), counter.Describe("consumed"));
    }

    /// <summary>How many records are left to measure: what the warm-up read beyond its need comes off; that is said.</summary>
    private static int LeftToMeasure(CommandRun run, int read)
    {
        int warmup = run.Get(WarmupRecords);
        int left = read < warmup ? 0 : run.Get(Records) - (read - warmup);
        if (read < warmup)
            Say($"arus: topic {run.Get(Topic)} gave {read:N0} records, fewer than --warmup ({warmup:N0}); none are left to measure.");
        else if (read > warmup)
            Say($"arus: the warm-up read {read:N0} records in whole polls instead of {warmup:N0}; {left:N0} are left to measure.");

        return left;

        void Say(FormattableString note) => run.Terminal.Error.WriteLine(FormattableString.Invariant(note));
    }

    /// <summary>Reads so many records or a few more, or fewer when no more come, and answers how many.</summary>
    private static async Task<int> ReadAsync(
        IConsumer<byte[], ReadOnlyMemory<byte>> consumer, int wanted, LiveCounter? counter, CancellationToken cancellationToken)
    {
        int read = 0;
        while (read < wanted)
        {
            var records = await consumer.PollAsync(TimeSpan.FromSeconds(5), cancellationToken);
            if (records.Count == 0)
                break;

            read += records.Count;
            counter?.Add(records.Count, records.Sum(r => (long)r.Value.Length));
        }

        return read;
    }

    private static async Task LatencyAsync(CommandRun run)
    {
        var meter = new LatencyMeter(TimeSpan.FromSeconds(run.Get(WarmupSeconds)));
        await MeasureLatencyAsync(run, meter);
        var result = new
        {
            Records = meter.MeasuredRecords,
            WarmupSeconds = run.Get(WarmupSeconds),
            meter.WarmupRecords,
            P50Ms = meter.Percentile(50).TotalMilliseconds,
            P99Ms = meter.Percentile(99).TotalMilliseconds,
            P999Ms = meter.Percentile(99.9).TotalMilliseconds,
            MaxMs = meter.Max.TotalMilliseconds,
        };
        run.Write(result, string.Create(
            CultureInfo.InvariantCulture,
            $"{result.Records:N0} records after {result.WarmupSeconds} s of warm-up: p50 {result.P50Ms:N2} ms, "
            + $"p99 {result.P99Ms:N2} ms, p99.9 {result.P999Ms:N2} ms, max {result.MaxMs:N2} ms"));
    }

    private static async Task MeasureLatencyAsync(CommandRun run, LatencyMeter meter)
    {
        int total = run.Get(Rate) * (run.Get(WarmupSeconds) + run.Get(Seconds));
        TopicPartition[] partitions = await run.PartitionsAsync(run.Get(Topic));
        TopicPartitionOffset[] ends = await run.ListOffsetsAsync(partitions, OffsetSpec.Latest);
        await using var consumer = run.Client.CreateConsumer<byte[], byte[]>(new ConsumerOptions { MaxPollRecords = MaxPollRecords });
        await using IProducer<byte[], byte[]> producer = CreateProducer(run);
        consumer.Assign(ends);
        var counter = new LiveCounter(run.Terminal, TimeProvider.System);
        long start = TimeProvider.System.GetTimestamp();
        var throttle = new Throttle(run.Get(Rate), TimeProvider.System);
        await counter.ShowAsync("measured", async () =>
        {
            Task sending = SendAsync(run, producer, total, throttle);
            while (meter.Count < total && !sending.IsFaulted)
            {
                foreach (ConsumeResult<byte[], byte[]> record in await consumer.PollAsync(TimeSpan.FromSeconds(1), run.Cancellation))
                {
                    var due = new TimeSpan(BinaryPrimitives.ReadInt64LittleEndian(record.Value));
                    meter.Record(due, TimeProvider.System.GetElapsedTime(start));
                    counter.Add(1, record.Value!.Length);
                }
            }

            await sending;
        });
    }

    private static async Task SendAsync(CommandRun run, IProducer<byte[], byte[]> producer, int total, Throttle throttle)
    {
        string topic = run.Get(Topic);
        byte[][] payloads = RandomPayloads(run.Get(Size));
        for (int i = 0; i < total; i++)
        {
            TimeSpan due = await throttle.WaitAsync(run.Cancellation);
            byte[] value = [.. payloads[i % payloads.Length]];
            BinaryPrimitives.WriteInt64LittleEndian(value, due.Ticks);
            await producer.EnqueueAsync(new(topic, null, value), run.Cancellation);
        }

        await producer.FlushAsync(run.Cancellation);
    }

    private static IProducer<byte[], byte[]> CreateProducer(CommandRun run) => run.Client.CreateProducer<byte[], byte[]>(new ProducerOptions
    {
        Compression = run.Get(ProduceCommand.Codec),
        Linger = TimeSpan.FromMilliseconds(run.Get(Linger)),
        BatchSize = run.Get(BatchBytes),
    });

    /// <summary>Random, so that compression gains as little as with compressed data; seeded, so that runs compare.</summary>
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
}
