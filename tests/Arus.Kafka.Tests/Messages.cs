using Arus.Compression;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

/// <summary>Requests as clients would send them.</summary>
internal static class Messages
{
    public static byte[] Batch(params string[] values) => Batch(CompressionType.None, values);

    public static byte[] Batch(CompressionType compression, params string[] values)
    {
        using var builder = new RecordBatchBuilder();
        foreach (string value in values)
            builder.Append(1_700_000_000_000, null, System.Text.Encoding.UTF8.GetBytes(value));

        return builder.Build(new RecordBatchOptions { Compression = compression }).ToArray();
    }

    /// <summary>A batch of one record that belongs to a transaction.</summary>
    public static byte[] Transactional(long producerId, short epoch, int sequence, string value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_700_000_000_000, null, System.Text.Encoding.UTF8.GetBytes(value));
        return builder.Build(new RecordBatchOptions
        {
            ProducerId = producerId, ProducerEpoch = epoch, BaseSequence = sequence, IsTransactional = true,
        }).ToArray();
    }

    public static ProduceRequest Produce(string topic, int partition, byte[] batch, short acks = -1) =>
        Produce(topic, [(partition, batch)], acks);

    public static ProduceRequest Produce(string topic, (int Partition, byte[] Batch)[] parts, short acks = -1) => new()
    {
        Acks = acks,
        TimeoutMs = 1_000,
        TopicData =
        [
            new()
            {
                Name = topic,
                PartitionData = Array.ConvertAll(
                    parts, part => new ProduceRequest.PartitionProduceData { Index = part.Partition, Records = part.Batch }),
            },
        ],
    };

    public static Protocol.FetchRequest Fetch(
        string topic, (int Partition, long Offset)[] positions, int maxWaitMs = 500, int minBytes = 1, int maxBytes = 50_000_000,
        int partitionMaxBytes = 1_000_000) => new()
        {
            MaxWaitMs = maxWaitMs,
            MinBytes = minBytes,
            MaxBytes = maxBytes,
            Topics =
            [
                new()
                {
                    Topic = topic,
                    Partitions = Array.ConvertAll(positions, position => new Protocol.FetchRequest.FetchPartition
                    {
                        Partition = position.Partition, FetchOffset = position.Offset, PartitionMaxBytes = partitionMaxBytes,
                    }),
                },
            ],
        };

    public static MetadataRequest Metadata(params string[] topics) => new()
    {
        Topics = Array.ConvertAll(topics, name => new MetadataRequest.MetadataRequestTopic { Name = name }),
    };
}
