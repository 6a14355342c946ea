using Confluent.Kafka;

namespace Arus.Chaos;

/// <summary>A group of librdkafka's consumers with its defaults.</summary>
internal sealed class KafkaGroup(string group, ChaosTopic topic, AvailabilityMeter meter, Journal journal)
    : GroupReader(group, topic, meter, journal)
{
    private static readonly TimeSpan PollTime = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan CommitLimit = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Commits offset 0 everywhere, so that a group needs no rule for where to begin, and any reset later is a position that was lost.
    /// </summary>
    public static async Task CommitStartAsync(string group, ChaosTopic topic)
    {
        Confluent.Kafka.TopicPartitionOffset[] start =
            [.. Enumerable.Range(0, topic.Partitions).Select(p => new Confluent.Kafka.TopicPartitionOffset(topic.Name, p, 0))];
        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(
            new ConsumerConfig { BootstrapServers = topic.Bootstrap, GroupId = group, EnableAutoCommit = false })
            .SetLogHandler((_, _) => { })
            .Build();
        long begun = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                consumer.Commit(start);
                return;
            }
            catch (KafkaException) when (TimeProvider.System.GetElapsedTime(begun) < CommitLimit)
            {
                // A new cluster has no coordinators yet.
                await Task.Delay(PollTime);
            }
        }
    }

    public override void Start() =>
        Running = [.. Enumerable.Range(1, Members).Select(i => Task.Factory.StartNew(() => Run(i), TaskCreationOptions.LongRunning))];

    private void Run(int member)
    {
        string name = $"{Group}-{member}";
        var config = new ConsumerConfig
        {
            BootstrapServers = Topic.Bootstrap,
            GroupId = Group,
            ClientId = name,
            AutoOffsetReset = Confluent.Kafka.AutoOffsetReset.Error,
            CheckCrcs = true,
        };
        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(config)
            .SetLogHandler((_, message) => Journal.Detail($"{name}: {message.Facility} {message.Message}"))
            .SetErrorHandler((_, error) => Journal.Detail($"{name}: {error.Code}: {error.Reason}"))
            .SetPartitionsAssignedHandler((_, all) => Journal.Detail($"{name} got {string.Join(',', all.Select(p => p.Partition.Value))}"))
            .SetPartitionsLostHandler((_, all) => Journal.Detail($"{name} lost {string.Join(',', all.Select(p => p.Partition.Value))}"))
            .Build();
        consumer.Subscribe(Topic.Name);
        while (!Stop.IsCancellationRequested)
            Poll(consumer, name);

        consumer.Close();
    }

    private void Poll(IConsumer<Ignore, byte[]> consumer, string name)
    {
        try
        {
            if (consumer.Consume(PollTime) is { } result)
                Receive(result.Partition, result.Offset, result.Message.Value);
        }
        catch (Confluent.Kafka.ConsumeException e) when (e.Error.Code == Confluent.Kafka.ErrorCode.Local_AutoOffsetReset)
        {
            Journal.Find($"{name} lost its position: {e.Error.Reason}");
        }
        catch (Confluent.Kafka.ConsumeException e)
        {
            Journal.Detail($"{name}: {e.Error.Code}: {e.Error.Reason}");
        }
    }
}
