using System.Collections.Concurrent;
using System.Text.Json.Serialization;
using Arus.Client;

namespace Arus.Samples;

/// <summary>The snippets of README.md, each with what it takes to see that it works.</summary>
internal static class Samples
{
    private const int Orders = 100;

    public static IEnumerable<(string Name, Func<IArusClient, Task> Run)> All =>
    [
        ("produce", ProduceAsync), ("consume", ConsumeAsync), ("process", ProcessAsync), ("partition", PartitionAsync), ("json", JsonAsync),
        ("host", _ => HostSample.RunAsync()),
    ];

    private static async Task ProduceAsync(IArusClient arus)
    {
        // sample: produce
        await using IProducer<string, string> producer = arus.CreateProducer<string, string>();

        // One record, acknowledged: it is durable.
        DeliveryResult delivery = await producer.ProduceAsync(new("orders", "customer-1", "3 apples"));
        Console.WriteLine($"{delivery.Partition} at offset {delivery.Offset}");

        // Many: they leave in batches; the records of a key keep their order, also through retries.
        for (int i = 0; i < 100; i++)
            await producer.EnqueueAsync(new("orders", $"customer-{i % 10}", $"{i} pears"));

        await producer.FlushAsync();
        // end
        Expect(delivery.Offset >= 0, "the record has an offset");
    }

    private static async Task ConsumeAsync(IArusClient arus)
    {
        int read = 0;
        using var stop = new CancellationTokenSource();
        Task BillAsync(string customer, string order) => ++read == Orders + 1 ? stop.CancelAsync() : Task.CompletedTask;

        // sample: consume
        await using IConsumer<string, string> consumer = arus.CreateConsumer<string, string>(
            new ConsumerOptions { GroupId = "billing", AutoOffsetReset = AutoOffsetReset.Earliest });
        consumer.Subscribe("orders");
        try
        {
            await foreach (ConsumeResult<string, string> record in consumer.ConsumeAsync(stop.Token))
                await BillAsync(record.Key!, record.Value!);
        }
        catch (OperationCanceledException)
        {
            // Asked to stop: disposing the consumer commits what was processed, and leaves the group.
        }
        // end
        Expect(read == Orders + 1, $"read {read} records of {Orders + 1}");
    }

    private static async Task ProcessAsync(IArusClient arus)
    {
        await arus.Admin.CreateTopicAsync(new NewTopic("orders.DLT", Partitions: 1));
        var done = new ConcurrentBag<string>();
        using var stop = new CancellationTokenSource();
        ValueTask ShipAsync(string order)
        {
            if (order == "13 pears")
                throw new InvalidOperationException("nobody ships 13 pears");

            done.Add(order);
            return done.Count == Orders ? new ValueTask(stop.CancelAsync()) : ValueTask.CompletedTask;
        }

        // sample: process
        var options = new RecordProcessorOptions
        {
            Consumer = new ConsumerOptions { GroupId = "shipping", AutoOffsetReset = AutoOffsetReset.Earliest },
            Topics = ["orders"],
            Order = ProcessingOrder.Key,            // a customer's orders one after another, customers side by side
            MaxConcurrency = 32,
            MaxAttempts = 3,                        // with growing pauses, then
            OnFailure = FailureAction.DeadLetter,   // to the topic orders.DLT, with headers that say where from and why
        };
        await using IRecordProcessor processor = arus.CreateProcessor<string, string>(
            options, async (record, cancellationToken) => await ShipAsync(record.Value!));
        await processor.RunAsync(stop.Token);
        // end
        Expect(done.Count == Orders, $"shipped {done.Count} of {Orders}");
        long dead = (await arus.Admin.ListOffsetAsync(new("orders.DLT", 0), OffsetSpec.Latest)).Offset;
        Expect(dead == 1, $"{dead} records in the dead-letter topic");
    }

    private static async Task PartitionAsync(IArusClient arus)
    {
        await arus.Admin.CreateTopicAsync(new NewTopic("logins", Partitions: 26));
        // sample: partition
        // A partition for each first letter of the user's name.
        var options = new ProducerOptions
        {
            Partitioner = Partitioners.From((in PartitionRequest r) => r.Key.IsEmpty ? 0 : (r.Key[0] | 0x20) % r.PartitionCount),
        };
        await using IProducer<string, string> producer = arus.CreateProducer<string, string>(options);
        DeliveryResult ada = await producer.ProduceAsync(new("logins", "Ada", "10:15"));
        DeliveryResult alan = await producer.ProduceAsync(new("logins", "alan", "10:16"));
        // end
        Expect(ada.Partition == alan.Partition, "Ada and alan share a partition");
    }

    private static async Task JsonAsync(IArusClient arus)
    {
        await arus.Admin.CreateTopicAsync(new NewTopic("purchases"));
        // sample: json
        IRecordSerializer<Purchase> json = Serializers.Json(PurchaseContext.Default.Purchase);
        await using IProducer<string, Purchase> producer = arus.CreateProducer<string, Purchase>(valueSerializer: json);
        await producer.ProduceAsync(new("purchases", "ada", new Purchase("apples", 3)));
        // end
        await using IConsumer<string, Purchase> consumer = arus.CreateConsumer<string, Purchase>(valueSerializer: json);
        consumer.Assign(new TopicPartitionOffset("purchases", 0, TopicPartitionOffset.Beginning));
        IReadOnlyList<ConsumeResult<string, Purchase>> read = await consumer.PollAsync(TimeSpan.FromSeconds(10));
        Expect(read.Count == 1 && read[0].Value == new Purchase("apples", 3), "the purchase comes back");
    }

    private static void Expect(bool condition, string what)
    {
        if (!condition)
            throw new InvalidOperationException($"Expected otherwise: {what}.");
    }
}

// sample: json-type
public sealed record Purchase(string Item, int Count);

[JsonSerializable(typeof(Purchase))]
public sealed partial class PurchaseContext : JsonSerializerContext;
// end
