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
    private readonly RateLimitedFailureLogger _failures;
    private readonly SharedRun<DescribeLogDirsResponse> _all;

    public DescribeLogDirsHandler(
        LocalBroker broker, TopicCache topicCache, AllTopics allTopics, PartitionGrains partitions, RateLimitedFailureLogger failures)
        : base(ApiScope.Partition, "this broker")
    {
        (_broker, _topicCache, _allTopics, _partitions, _failures) = (broker, topicCache, allTopics, partitions, failures);
        _all = new SharedRun<DescribeLogDirsResponse>(DescribeAllAsync);
    }

    protected override async Task<IApiMessage?> HandleAsync(DescribeLogDirsRequest request, KafkaRequestContext context)
    {
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

    private async Task<DescribeLogDirsResponse> DescribeAsync(IEnumerable<TopicPartition> led, CancellationToken gone) =>
        new() { Results = [Describe(await GrainCalls.MapAsync([.. led], DescribeAsync, gone))] };

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

    private DescribeLogDirsResponse.DescribeLogDirsResult Describe((TopicPartition Partition, PartitionDescription? Found)[] rows)
    {
        var topics = rows.Where(row => row.Found is { Error: ErrorCode.None }).GroupBy(row => row.Partition.Topic);
        string directory = Path.GetFullPath(_broker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
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
