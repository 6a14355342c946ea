using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Answers how much of this broker's disk its partitions take.</summary>
internal sealed class DescribeLogDirsHandler : ApiHandler<DescribeLogDirsRequest>
{
    private readonly LocalBroker _broker;
    private readonly TopicCache _topicCache;
    private readonly AllTopics _allTopics;
    private readonly PartitionGrains _partitions;
    private readonly ILocalReplicas? _replicas;
    private readonly RateLimitedFailureLogger _failures;
    private readonly SharedRun<DescribeLogDirsResponse> _all;

    public DescribeLogDirsHandler(
        LocalBroker broker, TopicCache topicCache, AllTopics allTopics, PartitionGrains partitions, RateLimitedFailureLogger failures,
        ILocalReplicas? replicas = null)
        : base(ApiScope.Partition, "this broker")
    {
        (_broker, _topicCache, _allTopics, _partitions, _failures) = (broker, topicCache, allTopics, partitions, failures);
        _replicas = replicas;
        _all = new SharedRun<DescribeLogDirsResponse>(DescribeAllAsync);
    }

    protected override async Task<IApiMessage?> HandleAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
        if (_replicas is not null)
            return Describe(_replicas.List().Where(replica => IsWanted(request, replica.Partition)));

        if (request.Topics is not { } requested)
            return await _all.AskAsync();

        TopicDescription?[] topics = await GrainCalls.MapAsync(
            requested, async topic => (await _topicCache.ResolveAsync(topic.Topic, null, context)).Topic, context.Gone);
        return await DescribeAsync(
            topics.SelectMany((topic, i) => FindLed(topic).Where(partition => requested[i].Partitions.Contains(partition.Partition))),
            context.Gone);
    }

    protected override IApiMessage Fail(DescribeLogDirsRequest request, ErrorCode error, string message) =>
        new DescribeLogDirsResponse { ErrorCode = error };

    private async Task<DescribeLogDirsResponse> DescribeAllAsync() => await DescribeAsync(
        (await _allTopics.GetAsync()).Rows.SelectMany(row => FindLed(row.Topic)), CancellationToken.None);

    /// <summary>The partitions of a topic that this broker leads.</summary>
    private IEnumerable<TopicPartition> FindLed(TopicDescription? topic) => (topic?.Partitions ?? [])
        .Where(partition => partition.Leader == _broker.BrokerId)
        .Select(partition => new TopicPartition(topic!.Name, partition.Partition));

    private static bool IsWanted(DescribeLogDirsRequest request, TopicPartition partition) => request.Topics is not { } topics
        || Array.Exists(topics, topic => topic.Topic == partition.Topic && topic.Partitions.Contains(partition.Partition));

    private async Task<DescribeLogDirsResponse> DescribeAsync(IEnumerable<TopicPartition> led, CancellationToken gone) =>
        Describe((await GrainCalls.MapAsync([.. led], DescribeAsync, gone))
            .Where(row => row.Found is { Error: ErrorCode.None })
            .Select(row => new LocalReplica(row.Partition, row.Found!.SizeBytes, 0)));

    private async Task<(TopicPartition Partition, PartitionDescription? Found)> DescribeAsync(TopicPartition partition)
    {
        try
        {
            return (partition, await _partitions.Get(partition).DescribeAsync());
        }
        catch (Exception exception)
        {
            _failures.MapAndLog(exception, Scope, nameof(ApiKey.DescribeLogDirs), partition);
            return (partition, null);
        }
    }

    private DescribeLogDirsResponse Describe(IEnumerable<LocalReplica> replicas)
    {
        string directory = Path.GetFullPath(_broker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
        var drive = new DriveInfo(directory);
        bool known = Directory.Exists(directory);
        var result = new DescribeLogDirsResponse.DescribeLogDirsResult
        {
            LogDir = directory,
            TotalBytes = known ? drive.TotalSize : -1,
            UsableBytes = known ? drive.AvailableFreeSpace : -1,
            Topics = [.. replicas.GroupBy(one => one.Partition.Topic).Select(topic => new DescribeLogDirsResponse.DescribeLogDirsTopic
            {
                Name = topic.Key,
                Partitions = [.. topic.Select(replica => new DescribeLogDirsResponse.DescribeLogDirsPartition
                {
                    PartitionIndex = replica.Partition.Partition, PartitionSize = replica.SizeBytes, OffsetLag = replica.OffsetLag,
                })],
            })],
        };
        return new DescribeLogDirsResponse { Results = [result] };
    }
}
