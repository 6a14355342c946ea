using Arus.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Retention of idle partitions: their logs are closed, so <see cref="PartitionMaintenance"/> does not see them, but their records expire
/// like all others. One whose oldest segment has outlived its retention is activated, and then maintained as the others are.
/// </summary>
internal sealed class IdlePartitionRetention(
    string logDirectory, IGrainFactory grains, LocalPartitions partitions, LocalBroker broker, TimeProvider time,
    ILogger<IdlePartitionRetention> logger) : BackgroundService
{
    /// <summary>Partitions whose topic's configuration one pass looks up.</summary>
    private const int MaxLookupsPerPass = 500;

    private const int MaxActivationsPerPass = 50;
    private const int MaxStraysLogged = 5;

    /// <summary>A topic's retention may be changed while its partitions are idle, so each is checked this often.</summary>
    private static readonly TimeSpan MaxRecheckInterval = TimeSpan.FromHours(12);

    private readonly Dictionary<TopicPartition, DateTimeOffset> _due = [];
    private readonly HashSet<TopicPartition> _strays = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (logDirectory.Length == 0)
            return;

        using var timer = new PeriodicTimer(broker.Config.GetTimerPeriod(BrokerConfigs.LogRetentionCheckIntervalMs), time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await RunAsync(stoppingToken);
    }

    /// <summary>One pass; answers how many partitions it activated.</summary>
    internal async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        int lookups = 0;
        int activations = 0;
        try
        {
            foreach (StoredLog stored in await Task.Run(() => FindDue(now), cancellationToken))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (++lookups > MaxLookupsPerPass || activations == MaxActivationsPerPass)
                    break;

                activations += await TryActivateAsync(stored, now) ? 1 : 0;
            }
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or IOException or UnauthorizedAccessException)
        {
            logger.LogWarning("Idle partitions are checked again later: {Reason}", e.Message);
        }

        return activations;
    }

    private List<StoredLog> FindDue(DateTimeOffset now)
    {
        HashSet<TopicPartition> open = [.. partitions.Claims.Select(claim => claim.Partition)];
        return
        [
            .. StoredLogs.List(logDirectory)
                .Where(log => !open.Contains(log.Partition) && (!_due.TryGetValue(log.Partition, out DateTimeOffset due) || due <= now))
                .OrderBy(log => log.OldestSegmentWritten),
        ];
    }

    /// <summary>Activates the partition if records of it have expired.</summary>
    private async Task<bool> TryActivateAsync(StoredLog stored, DateTimeOffset now)
    {
        TopicPartition partition = stored.Partition;
        _due[partition] = now + MaxRecheckInterval;
        if (await grains.GetGrain<ITopicGrain>(partition.Topic).DescribePartitionAsync(partition.Partition) is not { } topic)
        {
            if (_strays.Add(partition) && _strays.Count <= MaxStraysLogged)
            {
                logger.LogWarning(
                    "{Directory} holds records of {Partition}, which does not exist; delete them if they are not needed",
                    logDirectory, partition);
            }

            return false;
        }

        TopicConfig config = TopicConfig.Resolve(topic.Configs, broker.Config);
        if (!config.Delete || config.RetentionMs < 0)
            return false;

        TimeSpan age = now - stored.OldestSegmentWritten;
        if (age.TotalMilliseconds <= config.RetentionMs)
        {
            double left = Math.Min(MaxRecheckInterval.TotalMilliseconds, config.RetentionMs - age.TotalMilliseconds);
            _due[partition] = now + TimeSpan.FromMilliseconds(left);
            return false;
        }

        IPartitionGrain grain = grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));
        return (await grain.DescribeAsync()).Error == ErrorCode.None;
    }
}
