using Confluent.Kafka;

namespace Arus.Chaos;

/// <summary>Reads a whole topic, every partition from offset 0 to its end, with librdkafka.</summary>
internal static class LogReader
{
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PollTime = TimeSpan.FromMilliseconds(200);

    /// <param name="name">What is read, as reports name it.</param>
    /// <param name="limit">What could not be read by then is a finding, and missing in what was read.</param>
    public static Task<TopicContents> ReadAsync(ChaosTopic topic, string name, Journal journal, TimeSpan limit) =>
        Task.Factory.StartNew(() => Read(topic, name, journal, limit), TaskCreationOptions.LongRunning);

    private static TopicContents Read(ChaosTopic topic, string name, Journal journal, TimeSpan limit)
    {
        var contents = new TopicContents(name, topic.Partitions);
        var config = new ConsumerConfig
        {
            BootstrapServers = topic.Bootstrap,
            GroupId = "chaos-checker",
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Error,
            CheckCrcs = true,
        };
        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(config)
            .SetLogHandler((_, message) => journal.Detail($"checker: {message.Facility} {message.Message}"))
            .Build();
        long start = TimeProvider.System.GetTimestamp();
        TimeSpan Elapsed() => TimeProvider.System.GetElapsedTime(start);
        long[] ends = [.. Enumerable.Range(0, topic.Partitions).Select(p => End(consumer, topic, p, journal, () => Elapsed() < limit))];
        consumer.Assign(Enumerable.Range(0, topic.Partitions).Select(p => new TopicPartitionOffset(topic.Name, p, 0)));
        while (Enumerable.Range(0, topic.Partitions).Any(p => contents.End(p) < ends[p]))
        {
            if (Elapsed() > limit)
            {
                IEnumerable<string> missing = Enumerable.Range(0, topic.Partitions)
                    .Where(p => contents.End(p) < ends[p]).Select(p => $"{p}: {contents.End(p)} of {ends[p]}");
                journal.Find($"{name} could not be read within {limit.TotalSeconds:0} s: {string.Join(", ", missing)}");
                break;
            }

            Poll(consumer, contents, journal);
        }

        return contents;
    }

    private static void Poll(IConsumer<Ignore, byte[]> consumer, TopicContents contents, Journal journal)
    {
        try
        {
            if (consumer.Consume(PollTime) is { } result)
                contents.Add(result.Partition, result.Offset, result.Message.Value);
        }
        catch (ConsumeException e)
        {
            journal.Find($"reading the topic back: {e.Error.Code}: {e.Error.Reason}");
        }
    }

    /// <summary>The high watermark, which a leader does not tell at once after an election; 0 and a finding if it never does.</summary>
    private static long End(IConsumer<Ignore, byte[]> consumer, ChaosTopic topic, int partition, Journal journal, Func<bool> mayRetry)
    {
        var asked = new Confluent.Kafka.TopicPartition(topic.Name, partition);
        while (true)
        {
            try
            {
                WatermarkOffsets offsets = consumer.QueryWatermarkOffsets(asked, CallLimit);
                if (offsets.Low.Value != 0)
                    journal.Find($"partition {partition} begins at {offsets.Low.Value}, though nothing may delete records");

                return offsets.High.Value;
            }
            catch (KafkaException) when (mayRetry())
            {
                Thread.Sleep(PollTime);
            }
            catch (KafkaException e)
            {
                journal.Find($"partition {partition} does not tell its end: {e.Error.Code}: {e.Error.Reason}");
                return 0;
            }
        }
    }
}
