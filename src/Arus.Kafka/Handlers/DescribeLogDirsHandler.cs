using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Says how much of this broker's disk its partitions take.</summary>
internal sealed class DescribeLogDirsHandler(GatewayServices services) : ApiHandler<DescribeLogDirsRequest>
{
    public override RequestOrdering Ordering => RequestOrdering.Concurrent;

    protected override async Task<IApiMessage?> HandleAsync(DescribeLogDirsRequest request, RequestContext context)
    {
        try
        {
            TopicPartition[] local = await FindLocalAsync(request);
            (TopicPartition Partition, PartitionDescription? Description)[] described = await Parallel.MapAsync(local, DescribeAsync);
            return new DescribeLogDirsResponse { Results = [Describe(described)] };
        }
        catch (Exception exception)
        {
            return new DescribeLogDirsResponse { ErrorCode = services.Explain(exception, Asked.Partition, "DescribeLogDirs", "this broker") };
        }
    }

    /// <summary>The partitions that are asked for and that this broker leads.</summary>
    private async Task<TopicPartition[]> FindLocalAsync(DescribeLogDirsRequest request)
    {
        TopicDescription?[] topics = request.Topics is null
            ? Array.ConvertAll(await services.DescribeAllTopicsAsync(), row => row.Topic)
            : await Parallel.MapAsync(request.Topics, async topic => (await services.ResolveAsync(topic.Topic, null, Asked.Partition, "DescribeLogDirs")).Topic);
        var local = new List<TopicPartition>();
        for (int i = 0; i < topics.Length; i++)
        {
            int[]? wanted = request.Topics?[i].Partitions;
            local.AddRange((topics[i]?.Partitions ?? [])
                .Where(partition => partition.Leader == services.Broker.BrokerId && (wanted is null || wanted.Contains(partition.Partition)))
                .Select(partition => new TopicPartition(topics[i]!.Name, partition.Partition)));
        }

        return [.. local];
    }

    private async Task<(TopicPartition Partition, PartitionDescription? Description)> DescribeAsync(TopicPartition partition)
    {
        try
        {
            return (partition, await services.Partitions.Get(partition).DescribeAsync());
        }
        catch (Exception exception)
        {
            services.Explain(exception, Asked.Partition, "DescribeLogDirs", partition);
            return (partition, null);
        }
    }

    private DescribeLogDirsResponse.DescribeLogDirsResult Describe((TopicPartition Partition, PartitionDescription? Description)[] partitions)
    {
        string directory = Path.GetFullPath(services.Broker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
        var drive = new DriveInfo(directory);
        bool known = Directory.Exists(directory);
        return new()
        {
            LogDir = directory,
            TotalBytes = known ? drive.TotalSize : -1,
            UsableBytes = known ? drive.AvailableFreeSpace : -1,
            Topics = [.. partitions.Where(row => row.Description is { Error: ErrorCode.None }).GroupBy(row => row.Partition.Topic).Select(topic =>
                new DescribeLogDirsResponse.DescribeLogDirsTopic
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(row => new DescribeLogDirsResponse.DescribeLogDirsPartition
                    {
                        PartitionIndex = row.Partition.Partition, PartitionSize = row.Description!.SizeBytes,
                    })],
                })],
        };
    }
}
