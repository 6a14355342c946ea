using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Compat.Tests;

/// <summary>Producing and consuming by librdkafka.</summary>
[Collection(CompatCollection.Name)]
public sealed class RecordTests(CompatBroker broker)
{
    private const int Records = 400;

    [Theory]
    [InlineData(Confluent.Kafka.CompressionType.None)]
    [InlineData(Confluent.Kafka.CompressionType.Gzip)]
    [InlineData(Confluent.Kafka.CompressionType.Snappy)]
    [InlineData(Confluent.Kafka.CompressionType.Lz4)]
    [InlineData(Confluent.Kafka.CompressionType.Zstd)]
    public async Task The_same_bytes_come_out_as_went_in(Confluent.Kafka.CompressionType codec)
    {
        string topic = await broker.CreateTopicAsync($"codec-{codec}");
        await broker.ProduceAsync(topic, 0, Records, config => config.CompressionType = codec);
        broker.ReadAll(topic, CompatBroker.Partitions, Records);
    }

    [Theory]
    [InlineData(Acks.None)]
    [InlineData(Acks.Leader)]
    [InlineData(Acks.All)]
    public async Task Every_kind_of_acknowledgement_is_given(Acks acks)
    {
        string topic = await broker.CreateTopicAsync($"acks-{acks}", partitions: 1);
        await broker.ProduceAsync(topic, 0, 50, config => config.Acks = acks);
        broker.ReadAll(topic, 1, 50);
    }

    [Fact]
    public async Task An_idempotent_producer_keeps_order_and_offsets_are_dense()
    {
        const int Many = 10_000;
        string topic = await broker.CreateTopicAsync("idempotent", partitions: 1);
        IReadOnlyList<DeliveryResult<byte[], byte[]>> deliveries = await broker.ProduceAsync(topic, 0, Many, config =>
        {
            config.EnableIdempotence = true;
            config.MaxInFlight = 5;
            config.BatchNumMessages = 20;
            config.LingerMs = 0;
        });
        Assert.Equal(Enumerable.Range(0, Many).Select(i => (long)i), deliveries.Select(delivery => delivery.Offset.Value));
        broker.ReadAll(topic, 1, Many);
    }

    [Fact]
    public async Task Records_larger_than_what_a_fetch_asks_for_are_delivered()
    {
        string topic = await broker.CreateTopicAsync("large", partitions: 1);
        var config = new ProducerConfig(broker.Client);
        using (IProducer<Null, byte[]> producer = new ProducerBuilder<Null, byte[]>(config).Build())
        {
            for (byte i = 0; i < 5; i++)
            {
                byte[] value = new byte[900_000];
                Array.Fill(value, i);
                await producer.ProduceAsync(topic, new Message<Null, byte[]> { Value = value }).WaitAsync(CompatBroker.Limit);
            }
        }

        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig(broker.Client)
        {
            GroupId = "large", FetchMaxBytes = 100_000, MaxPartitionFetchBytes = 100_000, MessageMaxBytes = 100_000,
        }).Build();
        consumer.Assign(new TopicPartitionOffset(topic, 0, Offset.Beginning));
        using var deadline = new CancellationTokenSource(CompatBroker.Limit);
        for (byte i = 0; i < 5; i++)
        {
            byte[] value = consumer.Consume(deadline.Token).Message.Value;
            Assert.Equal((900_000, i, i), (value.Length, value[0], value[^1]));
        }
    }

    [Fact]
    public async Task Watermarks_and_offsets_by_time_are_found()
    {
        const long First = 1_600_000_000_000;
        string topic = await broker.CreateTopicAsync("times", partitions: 1);
        var partition = new Confluent.Kafka.TopicPartition(topic, 0);
        using (IProducer<Null, string> producer = new ProducerBuilder<Null, string>(broker.Client).Build())
        {
            await Task.WhenAll(Enumerable.Range(0, 100).Select(i => producer.ProduceAsync(partition, new Message<Null, string>
            {
                Value = "x",
                Timestamp = new Timestamp(First + (i * 1000), Confluent.Kafka.TimestampType.CreateTime),
            }))).WaitAsync(CompatBroker.Limit);
        }

        using IConsumer<Ignore, string> consumer =
            new ConsumerBuilder<Ignore, string>(new ConsumerConfig(broker.Client) { GroupId = "times" }).Build();
        WatermarkOffsets watermarks = consumer.QueryWatermarkOffsets(partition, CompatBroker.Limit);
        Assert.Equal((0, 100), (watermarks.Low.Value, watermarks.High.Value));
        Assert.Equal(42, OffsetAt(First + 41_500));
        Assert.Equal(Offset.End, OffsetAt(First + 1_000_000_000));

        consumer.Assign(new TopicPartitionOffset(partition, 42));
        using var deadline = new CancellationTokenSource(CompatBroker.Limit);
        Assert.Equal(First + 42_000, consumer.Consume(deadline.Token).Message.Timestamp.UnixTimestampMs);

        Offset OffsetAt(long time)
        {
            var timestamp = new Timestamp(time, Confluent.Kafka.TimestampType.CreateTime);
            return consumer.OffsetsForTimes([new TopicPartitionTimestamp(partition, timestamp)], CompatBroker.Limit)[0].Offset;
        }
    }
}
