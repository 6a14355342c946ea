using System.Diagnostics;
using System.Globalization;
using Arus.Client;
using Arus.Compression;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Benchmarks;

/// <summary>
/// What the native client allocates, and how long it works, for a batch and for a record: alone, against fakes of the grains.
/// </summary>
internal static class ClientBenchmarks
{
    private const int BatchBytes = 256 * 1024;

    public static async Task RunAsync(string[] args)
    {
        long megabytes = args.Length > 0 ? long.Parse(args[0], CultureInfo.InvariantCulture) : 200;
        Console.WriteLine("| what | record | records | ns/record | B/batch | B/record |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (int size in (int[])[100, 1024])
        {
            int records = (int)(megabytes * 1_000_000 / size);
            await ProduceAsync("enqueue, flush at the end", size, records, EnqueueAllAsync);
            await ProduceAsync("enqueue, each delivery awaited", size, records, EnqueueAndAwaitAsync);
            await ProduceAsync("ProduceAsync, each awaited", size, records, ProduceAllAsync);
            await ConsumeAsync("PollAsync, 500 a poll", size, records, 500, PollAllAsync);
            await ConsumeAsync("PollAsync, 10,000 a poll", size, records, 10_000, PollAllAsync);
            await ConsumeAsync("ConsumeAsync", size, records, 500, EnumerateAllAsync);
        }
    }

    private static async Task ProduceAsync(
        string name, int size, int records, Func<IProducer<byte[], byte[]>, byte[], int, Task> run)
    {
        var grains = new FakeGrains([.. BuildLog(size, 1)]);
        await using ServiceProvider services = Services(grains);
        var options = new ProducerOptions { BatchSize = BatchBytes };
        await using IProducer<byte[], byte[]> producer = services.GetRequiredService<IArusClient>().CreateProducer<byte[], byte[]>(options);
        byte[] value = new byte[size];
        await MeasureAsync(name, size, records, grains.Partition, () => run(producer, value, records));
    }

    private static async Task ConsumeAsync(
        string name, int size, int records, int maxPollRecords, Func<IConsumer<byte[], ReadOnlyMemory<byte>>, int, Task> run)
    {
        var grains = new FakeGrains([.. BuildLog(size, records)]);
        await using ServiceProvider services = Services(grains);
        var options = new ConsumerOptions { MaxPollRecords = maxPollRecords };
        await MeasureAsync(name, size, records, grains.Partition, async () =>
        {
            await using IConsumer<byte[], ReadOnlyMemory<byte>> consumer =
                services.GetRequiredService<IArusClient>().CreateConsumer<byte[], ReadOnlyMemory<byte>>(options);
            consumer.Assign(new TopicPartitionOffset(FakeGrains.Topic, 0, 0));
            await run(consumer, records);
        });
    }

    /// <summary>Twice, the first time to warm up.</summary>
    private static async Task MeasureAsync(string name, int size, int records, FakePartition partition, Func<Task> run)
    {
        await run();
        long batches = partition.Batches;
        long own = partition.Allocated;
        long before = GC.GetTotalAllocatedBytes(precise: true);
        long start = Stopwatch.GetTimestamp();
        await run();
        double nanoseconds = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        double allocated = GC.GetTotalAllocatedBytes(precise: true) - before - (partition.Allocated - own);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {size} B | {records:N0} | {nanoseconds / records:N0} | "
            + $"{allocated / (partition.Batches - batches):N0} | {allocated / records:N2} |"));
    }

    private static async Task EnqueueAllAsync(IProducer<byte[], byte[]> producer, byte[] value, int records)
    {
        for (int i = 0; i < records; i++)
            await producer.EnqueueAsync(new(FakeGrains.Topic, null, value));

        await producer.FlushAsync();
    }

    private static async Task EnqueueAndAwaitAsync(IProducer<byte[], byte[]> producer, byte[] value, int records)
    {
        var pending = new PendingDelivery[20_000];
        for (int done = 0; done < records;)
        {
            int count = Math.Min(pending.Length, records - done);
            for (int i = 0; i < count; i++)
                pending[i] = await producer.EnqueueAsync(new(FakeGrains.Topic, null, value));

            for (int i = 0; i < count; i++)
                await pending[i].GetResultAsync();

            done += count;
        }
    }

    private static async Task ProduceAllAsync(IProducer<byte[], byte[]> producer, byte[] value, int records)
    {
        var pending = new Task[20_000];
        for (int done = 0; done < records;)
        {
            int count = Math.Min(pending.Length, records - done);
            for (int i = 0; i < count; i++)
                pending[i] = producer.ProduceAsync(new(FakeGrains.Topic, null, value));

            for (int i = 0; i < count; i++)
                await pending[i];

            done += count;
        }
    }

    private static async Task PollAllAsync(IConsumer<byte[], ReadOnlyMemory<byte>> consumer, int records)
    {
        for (int read = 0; read < records;)
            read += (await consumer.PollAsync(Timeout.InfiniteTimeSpan)).Count;
    }

    private static async Task EnumerateAllAsync(IConsumer<byte[], ReadOnlyMemory<byte>> consumer, int records)
    {
        int read = 0;
        await foreach (ConsumeResult<byte[], ReadOnlyMemory<byte>> _ in consumer.ConsumeAsync())
        {
            if (++read == records)
                break;
        }
    }

    private static ServiceProvider Services(FakeGrains grains)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IGrainFactory>(grains.Factory);
        services.AddArusClient();
        return services.BuildServiceProvider();
    }

    /// <summary>The same batch again and again, under offsets that go on.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> BuildLog(int size, int records)
    {
        using var builder = new RecordBatchBuilder();
        byte[] value = new byte[size];
        while (builder.SizeInBytes + RecordBatchBuilder.EstimateRecordSize(-1, size, []) <= BatchBytes)
            builder.Append(0, null, value);

        long offset = 0;
        while (offset < records)
        {
            byte[] batch = builder.Build(new RecordBatchOptions { BaseOffset = offset }).ToArray();
            offset += builder.Count;
            yield return batch;
        }
    }
}
