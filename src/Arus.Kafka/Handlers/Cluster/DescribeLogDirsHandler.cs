using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers how much of this broker's disk its partitions take.</summary>
internal sealed class DescribeLogDirsHandler(ILocalBroker broker, TopicCache topicCache, PartitionGrains partitions)
    : ApiHandler<DescribeLogDirsRequest>(ApiScope.Partition, RequestOrdering.Concurrent)
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
        PartitionSize[] sizes = await GrainCalls.MapAsync(await FindLedAsync(request, context), partition => context.TryAsync(
            partition,
            async () => new PartitionSize(partition, await partitions.Get(partition).DescribeAsync()),
            (_, _) => new PartitionSize(partition, null)));
        return new DescribeLogDirsResponse { Results = [Describe(sizes)] };
    }

    protected override IApiMessage Fail(DescribeLogDirsRequest request, ErrorCode error, string message) =>
        new DescribeLogDirsResponse { ErrorCode = error };

    protected override string SubjectOf(DescribeLogDirsRequest request) => "this broker";

    /// <summary>The requested partitions that this broker leads.</summary>
    private async Task<TopicPartition[]> FindLedAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
        TopicDescription?[] topics = request.Topics is null
            ? Array.ConvertAll(await topicCache.DescribeAllAsync(context), row => row.Topic)
            : await GrainCalls.MapAsync(request.Topics, async topic => (await topicCache.ResolveAsync(topic.Topic, null, context)).Topic);
        var led = new List<TopicPartition>();
        for (int i = 0; i < topics.Length; i++)
        {
            int[]? requested = request.Topics?[i].Partitions;
            led.AddRange((topics[i]?.Partitions ?? [])
                .Where(partition => partition.Leader == broker.BrokerId && (requested is null || requested.Contains(partition.Partition)))
                .Select(partition => new TopicPartition(topics[i]!.Name, partition.Partition)));
        }

        return [.. led];
    }

    private DescribeLogDirsResponse.DescribeLogDirsResult Describe(PartitionSize[] sizes)
    {
        IEnumerable<IGrouping<string, PartitionSize>> topics =
            sizes.Where(row => row.Description is { Error: ErrorCode.None }).GroupBy(row => row.Partition.Topic);
        string directory = Path.GetFullPath(broker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
        var drive = new DriveInfo(directory);
        bool known = Directory.Exists(directory);
        return new()
        {
            LogDir = directory,
            TotalBytes = known ? drive.TotalSize : -1,
            UsableBytes = known ? drive.AvailableFreeSpace : -1,
            Topics = [.. topics.Select(topic => new DescribeLogDirsResponse.DescribeLogDirsTopic
            {
                Name = topic.Key,
                Partitions = [.. topic.Select(row => new DescribeLogDirsResponse.DescribeLogDirsPartition
                {
                    PartitionIndex = row.Partition.Partition, PartitionSize = row.Description!.SizeBytes,
                })],
            })],
        };
    }

    private sealed record PartitionSize(TopicPartition Partition, PartitionDescription? Description);
}
