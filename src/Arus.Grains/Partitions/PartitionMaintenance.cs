using Arus.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>Runs retention and compaction over the open logs of this broker, a bounded number at once.</summary>
internal sealed class PartitionMaintenance(
    LocalPartitions partitions, LocalBroker broker, BrokerMetrics metrics, TimeProvider time, IHostApplicationLifetime lifetime,
    ILogger<PartitionMaintenance> logger, ReplicationHost? replicas = null)
    : BackgroundService
{
    /// <summary>Kafka's keys allow for 0.</summary>
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(50);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Fetches that wait for records would hold up the stop of the host.
        using CancellationTokenRegistration stop = lifetime.ApplicationStopping.Register(partitions.Stop);
        using var timer = new PeriodicTimer(Interval(broker.Config), time);
        DateTimeOffset lastRetention = time.GetUtcNow();
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            // Compacted logs are maintained more often than the others, as by Kafka's cleaner.
            BrokerConfig config = broker.Config;
            bool all = time.GetUtcNow() - lastRetention >= config.GetMilliseconds(BrokerConfigs.LogRetentionCheckIntervalMs);
            lastRetention = all ? time.GetUtcNow() : lastRetention;
            await RunAsync(all, Math.Max(1, config.GetInt(BrokerConfigs.LogCleanerThreads)), stoppingToken);
            timer.Period = Interval(config);
        }
    }

    internal static TimeSpan Interval(BrokerConfig config)
    {
        TimeSpan[] intervals =
            [config.GetTimerPeriod(BrokerConfigs.LogRetentionCheckIntervalMs), config.GetTimerPeriod(BrokerConfigs.LogCleanerBackoffMs)];
        return intervals.Min() is var least && least > ShortestInterval ? least : ShortestInterval;
    }

    internal async Task RunAsync(bool all, int atOnce, CancellationToken cancellationToken)
    {
        IEnumerable<IPartitionLog> open = replicas?.OpenLogs ?? partitions.Claims.Select(claim => claim.Log).OfType<IPartitionLog>();
        IEnumerable<IPartitionLog> logs = open.Where(log => all || log.Config.IsCleaned);
        var options = new ParallelOptions { MaxDegreeOfParallelism = atOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(logs, options, async (log, cancellation) =>
        {
            try
            {
                LogMaintenanceResult result = await log.MaintainAsync(cancellation);
                metrics.Maintained(result.SegmentsDeleted, result.SegmentsCompacted, result.BytesFreed);
                if (result.SegmentsDeleted + result.SegmentsCompacted > 0)
                {
                    logger.LogInformation(
                        "{Partition}: {Deleted} segments deleted, {Compacted} compacted, {Bytes} bytes freed",
                        log.Partition, result.SegmentsDeleted, result.SegmentsCompacted, result.BytesFreed);
                }
            }
            catch (Exception e) when (e is LogException or IOException or ObjectDisposedException)
            {
                logger.LogWarning("Maintenance of {Partition} failed and is tried again later: {Reason}", log.Partition, e.Message);
            }
        });
    }
}
