using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers how much of this broker's disk its partitions take.</summary>
internal sealed class DescribeLogDirsHandler(LocalBroker broker, TopicCache topicCache, AllTopics allTopics, PartitionGrains partitions)
    : ApiHandler<DescribeLogDirsRequest>(ApiScope.Partition, "this broker")
{
    protected override async Task<IApiMessage?> HandleAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
        (TopicPartition Partition, PartitionDescription? Found)[] rows = await GrainCalls.MapAsync(
            await FindLedAsync(request, context),
            async partition => (partition, await context.TryAsync<PartitionDescription?>(
                partition, async () => await partitions.Get(partition).DescribeAsync(), (_, _) => null)),
            context.Gone);
        return new DescribeLogDirsResponse { Results = [Describe(rows)] };
    }

    protected override IApiMessage Fail(DescribeLogDirsRequest request, ErrorCode error, string message) =>
        new DescribeLogDirsResponse { ErrorCode = error };

    /// <summary>The requested partitions that this broker leads.</summary>
    private async Task<TopicPartition[]> FindLedAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
        TopicDescription?[] topics = request.Topics is null
            ? Array.ConvertAll((await allTopics.GetAsync()).Rows, row => row.Topic)
            : await GrainCalls.MapAsync(
                request.Topics, async topic => (await topicCache.ResolveAsync(topic.Topic, null, context)).Topic, context.Gone);
        return
        [
            .. topics.SelectMany((topic, i) => (topic?.Partitions ?? [])
                .Where(partition => partition.Leader == broker.BrokerId
                    && request.Topics?[i].Partitions.Contains(partition.Partition) != false)
                .Select(partition => new TopicPartition(topic!.Name, partition.Partition))),
        ];
    }

    private DescribeLogDirsResponse.DescribeLogDirsResult Describe((TopicPartition Partition, PartitionDescription? Found)[] rows)
    {
        var topics = rows.Where(row => row.Found is { Error: ErrorCode.None }).GroupBy(row => row.Partition.Topic);
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
                    PartitionIndex = row.Partition.Partition, PartitionSize = row.Found!.SizeBytes,
                })],
            })],
        };
    }
}
