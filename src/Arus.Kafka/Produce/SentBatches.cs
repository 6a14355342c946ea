using Arus.Protocol;
using Partitions = System.Collections.Generic.OrderedDictionary<int, Arus.Protocol.ProduceRequest.PartitionProduceData>;

namespace Arus.Kafka;

/// <summary>What a Produce request holds, checked and sorted before anything of it reaches a partition. All methods are pure.</summary>
internal static class SentBatches
{
    /// <summary>Earlier versions of Produce came before zstd (KIP-110).</summary>
    private const short FirstZstdVersion = 7;

    /// <summary>
    /// Each topic and partition once. Kafka appends the last of the batches that a request has for a partition, and leaves out a topic
    /// without partitions.
    /// </summary>
    public static ProduceRequest.TopicProduceData[] Merge(ProduceRequest.TopicProduceData[] topics)
    {
        if (!HasRepeats(topics))
            return topics;

        var merged = new OrderedDictionary<(string, Guid), Partitions>();
        foreach (ProduceRequest.TopicProduceData topic in topics)
        {
            foreach (ProduceRequest.PartitionProduceData part in topic.PartitionData)
            {
                if (!merged.TryGetValue((topic.Name, topic.TopicId), out Partitions? parts))
                    merged.Add((topic.Name, topic.TopicId), parts = []);

                parts[part.Index] = part;
            }
        }

        return
        [
            .. merged.Select(topic => new ProduceRequest.TopicProduceData
            {
                Name = topic.Key.Item1, TopicId = topic.Key.Item2, PartitionData = [.. topic.Value.Values],
            }),
        ];
    }

    /// <summary>Whether a batch of the request says that it belongs to a transaction.</summary>
    public static bool AnyTransactional(ProduceRequest.TopicProduceData[] topics)
    {
        foreach (ProduceRequest.TopicProduceData topic in topics)
        {
            foreach (ProduceRequest.PartitionProduceData part in topic.PartitionData)
            {
                ReadOnlyMemory<byte> batch = part.Records.ToMemory();
                if (RecordBatches.TakeOnly(ref batch).IsOk && batch.Length >= RecordBatchHeader.Size
                    && new RecordBatchHeader(batch.Span).IsTransactional)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Takes the only batch of a partition's records, in a format that the request's version has.</summary>
    public static ValidationResult TakeOnly(ref ReadOnlyMemory<byte> records, short version)
    {
        ValidationResult result = RecordBatches.TakeOnly(ref records);
        if (!result.IsOk || version >= FirstZstdVersion || records.Length < RecordBatchHeader.Size)
            return result;

        return new RecordBatchHeader(records.Span).Compression switch
        {
            < CompressionType.Zstd => result,
            CompressionType.Zstd => new ValidationResult(
                ErrorCode.UnsupportedCompressionType, $"Produce {version} has no zstd; version {FirstZstdVersion} and later have."),
            var other => new ValidationResult(ErrorCode.UnknownServerError, $"Compression type {(int)other} is not known."),
        };
    }

    private static bool HasRepeats(ProduceRequest.TopicProduceData[] topics)
    {
        HashSet<(string, Guid)>? names = topics.Length > 1 ? [] : null;
        foreach (ProduceRequest.TopicProduceData topic in topics)
        {
            if (topic.PartitionData.Length == 0 || names?.Add((topic.Name, topic.TopicId)) == false)
                return true;

            HashSet<int>? indexes = topic.PartitionData.Length > 1 ? [] : null;
            foreach (ProduceRequest.PartitionProduceData part in topic.PartitionData)
            {
                if (indexes?.Add(part.Index) == false)
                    return true;
            }
        }

        return false;
    }
}
