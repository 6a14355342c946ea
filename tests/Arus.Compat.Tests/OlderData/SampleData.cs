using System.Text;
using Arus.Compression;
using Arus.Protocol;
using Confluent.Kafka;

namespace Arus.Compat.Tests.OlderData;

/// <summary>
/// Fills an empty broker with some of everything that it keeps: what the fixtures are made of. Batches are written both by librdkafka and
/// by Arus' own builder, since their encoders differ.
/// </summary>
internal sealed class SampleData
{
    /// <summary>A topic that was there once.</summary>
    public const string DeletedTopic = "deleted";

    private const string Orders = "orders";
    private const string Native = "native";
    private const string Segments = "Segments.1_of-2";
    private const string Compacted = "compacted";
    private const string Idempotent = "idempotent";
    private const string Trimmed = "trimmed";
    private const string Recreated = "recreated";
    private const long FirstTimestamp = 1_600_000_000_000;

    private static readonly (string Name, string Value)[] SmallSegments =
        [("internal.segment.bytes", "1024"), ("index.interval.bytes", "100")];

    private readonly string _bootstrap;
    private readonly WireClient _wire;

    private SampleData(int port, WireClient wire)
    {
        _bootstrap = $"127.0.0.1:{port}";
        _wire = wire;
    }

    public static async Task WriteAsync(int port)
    {
        using WireClient wire = await WireClient.ConnectAsync(port);
        var data = new SampleData(port, wire);
        await data.CreateTopicsAsync();
        await data.ProduceWithLibrdkafkaAsync();
        await data.ProduceInAllCodecsAsync();
        await data.ProduceSegmentsAsync();
        await data.ProduceIdempotentlyAsync();
        await data.TrimAsync();
        await data.DeleteAsync();
        data.ConsumeInGroup();
        await new SampleGroups(port, wire).WriteAsync(Orders);
    }

    /// <summary>A compacted topic, at a broker that compacts often.</summary>
    public static async Task WriteCompactedAsync(int port)
    {
        using WireClient wire = await WireClient.ConnectAsync(port);
        await new SampleData(port, wire).CompactAsync();
    }

    private async Task CreateTopicsAsync()
    {
        await CreateAsync(Orders, 3);
        await CreateAsync(Native, 1, ("message.timestamp.type", "LogAppendTime"));
        await CreateAsync(
            Segments, 2, [.. SmallSegments, ("retention.ms", "-1"), ("retention.bytes", "1000000000"), ("max.message.bytes", "100000")]);
        await CreateAsync(Idempotent, 2, SmallSegments);
        await CreateAsync(Trimmed, 1);
        await CreateAsync("empty", 2);
    }

    /// <summary>All codecs; keys, values and headers that are there, empty and null.</summary>
    private async Task ProduceWithLibrdkafkaAsync()
    {
        int number = 0;
        foreach (Confluent.Kafka.CompressionType codec in Enum.GetValues<Confluent.Kafka.CompressionType>())
        {
            var config = new ProducerConfig { BootstrapServers = _bootstrap, CompressionType = codec, LingerMs = 1_000 };
            using IProducer<byte[]?, byte[]?> producer = new ProducerBuilder<byte[]?, byte[]?>(config).Build();
            var deliveries = new List<Task<DeliveryResult<byte[]?, byte[]?>>>();
            for (int i = 0; i < 24; i++, number++)
            {
                var message = new Message<byte[]?, byte[]?>
                {
                    Key = i % 5 == 0 ? null : Encoding.UTF8.GetBytes(i % 7 == 0 ? "" : $"schlüssel-{i % 6}"),
                    Value = i % 11 == 3 ? null : Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat($"value {number} ", i % 9))),
                    Timestamp = new Timestamp(FirstTimestamp + (number * 1000), Confluent.Kafka.TimestampType.CreateTime),
                    Headers = i % 3 == 0
                        ? null
                        : [new Header("number", [(byte)number]), new Header("null", null), new Header("number", [])],
                };
                deliveries.Add(producer.ProduceAsync(new Confluent.Kafka.TopicPartition(Orders, i % 3), message));
            }

            producer.Flush(TimeSpan.FromSeconds(30));
            await Task.WhenAll(deliveries).WaitAsync(TimeSpan.FromSeconds(30));
        }
    }

    private async Task ProduceInAllCodecsAsync()
    {
        foreach (CompressionType codec in Enum.GetValues<CompressionType>())
            await AppendAsync(Native, 0, Batch(codec.ToString(), 6, new RecordBatchOptions { Compression = codec }));
    }

    private async Task ProduceSegmentsAsync()
    {
        for (int i = 0; i < 12; i++)
            await AppendAsync(Segments, i % 2, Batch($"{i}", 6, new RecordBatchOptions()));
    }

    /// <summary>Three producers of ours, of which one has raised its epoch, and one of librdkafka.</summary>
    private async Task ProduceIdempotentlyAsync()
    {
        InitProducerIdResponse first = await _wire.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), version: 4);
        InitProducerIdResponse second = await _wire.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), version: 4);
        for (int batch = 0; batch < 8; batch++)
        {
            await AppendAsync(Idempotent, 0, Batch($"first {batch}", 4, Of(first, batch * 4)));
            await AppendAsync(Idempotent, 1, Batch($"first {batch}", 2, Of(first, batch * 2)));
            await AppendAsync(Idempotent, 1, Batch($"second {batch}", 1, Of(second, batch)));
        }

        InitProducerIdResponse raised = await _wire.CallAsync<InitProducerIdResponse>(
            new InitProducerIdRequest { ProducerId = second.ProducerId, ProducerEpoch = second.ProducerEpoch }, version: 4);
        Assert.Equal(ErrorCode.None, raised.ErrorCode);
        await AppendAsync(Idempotent, 1, Batch("raised", 3, Of(raised, 0)));

        var config = new ProducerConfig { BootstrapServers = _bootstrap, EnableIdempotence = true, BatchNumMessages = 5 };
        using IProducer<Null, string> producer = new ProducerBuilder<Null, string>(config).Build();
        for (int i = 0; i < 20; i++)
        {
            var message = new Message<Null, string> { Value = $"librdkafka {i}" };
            await producer.ProduceAsync(new Confluent.Kafka.TopicPartition(Idempotent, 0), message);
        }
    }

    private async Task TrimAsync()
    {
        for (int i = 0; i < 4; i++)
            await AppendAsync(Trimmed, 0, Batch($"{i}", 5, new RecordBatchOptions()));

        DeleteRecordsResponse response = await _wire.CallAsync<DeleteRecordsResponse>(
            new DeleteRecordsRequest
            {
                TimeoutMs = 10_000,
                Topics = [new() { Name = Trimmed, Partitions = [new() { PartitionIndex = 0, Offset = 7 }] }],
            },
            version: 2);
        Assert.Equal(7, response.Topics[0].Partitions[0].LowWatermark);
    }

    private async Task DeleteAsync()
    {
        foreach (string topic in new[] { DeletedTopic, Recreated })
        {
            await CreateAsync(topic, 2, ("retention.ms", "123456789"));
            await AppendAsync(topic, 0, Batch("before", 3, new RecordBatchOptions()));
            DeleteTopicsResponse response = await _wire.CallAsync<DeleteTopicsResponse>(
                new DeleteTopicsRequest { TopicNames = [topic], TimeoutMs = 30_000 }, version: 5);
            Assert.Equal(ErrorCode.None, response.Responses[0].ErrorCode);
        }

        await CreateAsync(Recreated, 1);
        await AppendAsync(Recreated, 0, Batch("after", 2, new RecordBatchOptions()));
    }

    /// <summary>A consumer of librdkafka that reads everything, commits and leaves.</summary>
    private void ConsumeInGroup()
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = _bootstrap, GroupId = "readers", AutoOffsetReset = AutoOffsetReset.Earliest, EnableAutoCommit = false,
            EnablePartitionEof = true, PartitionAssignmentStrategy = PartitionAssignmentStrategy.CooperativeSticky,
        };
        using IConsumer<byte[]?, byte[]?> consumer = new ConsumerBuilder<byte[]?, byte[]?>(config).Build();
        consumer.Subscribe([Orders, Idempotent]);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        for (int ended = 0; ended < 5;)
            ended += consumer.Consume(deadline.Token).IsPartitionEOF ? 1 : 0;

        consumer.Commit();
        consumer.Close();
    }

    /// <summary>Keys that are written again and again, some of them deleted in the end; waits until older records are gone.</summary>
    private async Task CompactAsync()
    {
        await CreateAsync(
            Compacted, 1,
            [.. SmallSegments, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01"), ("segment.ms", "100000000")]);
        long appended = 0;
        for (int i = 0; i < 60; i++)
        {
            byte[]? value = i is > 40 and < 45 ? null : Encoding.UTF8.GetBytes($"value {i}");
            using var builder = new RecordBatchBuilder();
            builder.Append(FirstTimestamp + i, Encoding.UTF8.GetBytes($"key {i % 12}"), value);
            ReadOnlyMemory<byte> batch = builder.Build(new RecordBatchOptions());
            appended += batch.Length;
            await AppendAsync(Compacted, 0, batch);
        }

        // The size tells it, not the records: a cache may have those for a while that are gone from the log.
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (await SizeAsync(Compacted) > appended / 2)
            await Task.Delay(20, deadline.Token);
    }

    private async Task<long> SizeAsync(string topic)
    {
        DescribeLogDirsResponse response = await _wire.CallAsync<DescribeLogDirsResponse>(
            new DescribeLogDirsRequest { Topics = [new() { Topic = topic, Partitions = [0] }] }, version: 4);
        return response.Results[0].Topics[0].Partitions[0].PartitionSize;
    }

    private async Task CreateAsync(string topic, int partitions, params (string Name, string Value)[] configs)
    {
        CreateTopicsResponse response = await _wire.CallAsync<CreateTopicsResponse>(
            new CreateTopicsRequest
            {
                Topics =
                [
                    new()
                    {
                        Name = topic,
                        NumPartitions = partitions,
                        ReplicationFactor = -1,
                        Configs = Array.ConvertAll(
                            configs, config => new CreateTopicsRequest.CreatableTopicConfig { Name = config.Name, Value = config.Value }),
                    },
                ],
            },
            version: 7);
        Assert.Equal(ErrorCode.None, response.Topics[0].ErrorCode);
    }

    private async Task AppendAsync(string topic, int partition, ReadOnlyMemory<byte> batch) =>
        Assert.Equal(ErrorCode.None, (await _wire.ProduceAsync(topic, partition, batch)).Error);

    private static RecordBatchOptions Of(InitProducerIdResponse producer, int sequence) => new()
    {
        ProducerId = producer.ProducerId, ProducerEpoch = producer.ProducerEpoch, BaseSequence = sequence,
    };

    internal static byte[] Batch(string text, int records, RecordBatchOptions options)
    {
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < records; i++)
        {
            builder.Append(
                FirstTimestamp + i, i % 3 == 1 ? null : Encoding.UTF8.GetBytes($"key {i}"),
                Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat($"{text} {i} ", 6))),
                [new RecordHeader("text", Encoding.UTF8.GetBytes(text))]);
        }

        return builder.Build(options).ToArray();
    }
}
