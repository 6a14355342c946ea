using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Keeps <see cref="LocalBroker.Config"/> up to date with the dynamic configuration of the cluster, and tells the open logs, whose
/// defaults it changes.
/// </summary>
internal sealed class ConfigWatch : BackgroundService
{
    private const int MaxConcurrentCalls = 32;

    /// <summary>A change counts on every broker after this time and what a call takes.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly LocalBroker _broker;
    private readonly LocalPartitions _partitions;
    private readonly IGrainFactory _grains;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ReplicationHost? _replicas;

    /// <summary>One entry stands for any number of changes.</summary>
    private readonly Channel<bool> _changes = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public ConfigWatch(
        LocalBroker broker, LocalPartitions partitions, IGrainFactory grains, TimeProvider time, ILogger<ConfigWatch> logger,
        ReplicationHost? replicas = null)
    {
        (_broker, _partitions, _grains, _time, _logger, _replicas) = (broker, partitions, grains, time, logger, replicas);
        broker.Reconfigured += () => _changes.Writer.TryWrite(true);
    }

    /// <summary>Reads what was configured before this broker started.</summary>
    public async Task StartAtSiloAsync(CancellationToken cancellationToken) => _broker.Reconfigure(await FetchAsync(cancellationToken));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken) =>
        await Task.WhenAll(WatchAsync(stoppingToken), TellLogsAsync(stoppingToken)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task WatchAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        bool failed = false;
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                _broker.Reconfigure(await FetchAsync(stoppingToken));
                failed = false;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _logger.Log(
                    failed ? LogLevel.Debug : LogLevel.Warning,
                    "The dynamic configuration cannot be read, and is tried again: {Reason}", e.Message);
                failed = true;
            }
        }
    }

    private async Task TellLogsAsync(CancellationToken stoppingToken)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrentCalls, CancellationToken = stoppingToken };
        await foreach (bool _ in _changes.Reader.ReadAllAsync(stoppingToken))
        {
            _replicas?.Reconfigure();
            await Parallel.ForEachAsync(_partitions.Claims, options, async (claim, cancellation) =>
            {
                try
                {
                    string key = PartitionKey.Format(claim.Partition.Topic, claim.Partition.Partition);
                    await _grains.GetGrain<IPartitionGrain>(key).ReconfigureAsync().WaitAsync(cancellation);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    // Its next activation reads the configuration.
                    _logger.LogDebug("{Partition} was not told of a change of configuration: {Reason}", claim.Partition, e.Message);
                }
            });
        }
    }

    private Task<DynamicConfigs?> FetchAsync(CancellationToken cancellationToken) =>
        _grains.GetGrain<IConfigGrain>(0).DescribeAsync(_broker.Dynamic.Version).WaitAsync(cancellationToken);
}
