using Arus.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Looks after the partitions that nobody uses: their logs are closed, so <see cref="PartitionMaintenance"/> does not see them, but
/// their records expire all the same. One whose oldest segment has outlived its retention is activated, and then maintained as the others are.
/// </summary>
internal sealed class ColdPartitions(
    string logDirectory, IGrainFactory grains, LocalPartitions partitions, ILocalBroker broker, TimeProvider time, ILogger<ColdPartitions> logger)
    : BackgroundService
{
    /// <summary>Partitions of which a pass asks the topic's configuration.</summary>
    private const int AskedInPass = 500;

    /// <summary>Partitions that a pass activates.</summary>
    private const int WokenInPass = 50;

    private const int StraysNamed = 5;

    /// <summary>A topic's retention may be changed while its partitions sleep, so each is looked at this often.</summary>
    private static readonly TimeSpan s_longest = TimeSpan.FromHours(12);

    private readonly Dictionary<TopicPartition, DateTimeOffset> _due = [];
    private readonly HashSet<TopicPartition> _strays = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (logDirectory.Length == 0)
        {
            return;
        }

        using var timer = new PeriodicTimer(broker.Config.GetTimerPeriod(BrokerConfigs.LogRetentionCheckIntervalMs), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await VisitAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            logger.LogDebug("The watch over idle partitions stops");
        }
    }

    /// <summary>One pass; answers how many partitions it activated.</summary>
    internal async Task<int> VisitAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        int asked = 0;
        int woken = 0;
        try
        {
            foreach (StoredLog stored in await Task.Run(() => Closed(now), cancellationToken))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (++asked > AskedInPass || woken == WokenInPass)
                {
                    break;
                }

                woken += await VisitAsync(stored, now) ? 1 : 0;
            }
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or IOException or UnauthorizedAccessException)
        {
            logger.LogWarning("Idle partitions are looked at again later: {Reason}", e.Message);
        }

        return woken;
    }

    private List<StoredLog> Closed(DateTimeOffset now)
    {
        HashSet<TopicPartition> open = [.. partitions.Claims.Select(claim => claim.Partition)];
        return
        [
            .. StoredLogs.List(logDirectory)
                .Where(log => !open.Contains(log.Partition) && (!_due.TryGetValue(log.Partition, out DateTimeOffset due) || due <= now))
                .OrderBy(log => log.OldestSegmentWritten),
        ];
    }

    private async Task<bool> VisitAsync(StoredLog stored, DateTimeOffset now)
    {
        TopicPartition partition = stored.Partition;
        _due[partition] = now + s_longest;
        if (await grains.GetGrain<ITopicGrain>(partition.Topic).DescribePartitionAsync(partition.Partition) is not { } topic)
        {
            if (_strays.Add(partition) && _strays.Count <= StraysNamed)
            {
                logger.LogWarning("{Directory} holds records of {Partition}, which does not exist; delete them if they are not needed", logDirectory, partition);
            }

            return false;
        }

        TopicConfig config = TopicConfig.Resolve(topic.Configs, broker.Config);
        if (!config.Delete || config.RetentionMs < 0)
        {
            return false;
        }

        TimeSpan age = now - stored.OldestSegmentWritten;
        if (age.TotalMilliseconds <= config.RetentionMs)
        {
            double left = Math.Min(s_longest.TotalMilliseconds, config.RetentionMs - age.TotalMilliseconds);
            _due[partition] = now + TimeSpan.FromMilliseconds(left);
            return false;
        }

        PartitionDescription description = await grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition)).DescribeAsync();
        return description.Error == ErrorCode.None;
    }
}
