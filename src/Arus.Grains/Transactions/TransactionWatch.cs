using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Wakes coordinators that have something to do though nobody asks them: those that died with their silo leave transactions to end, and ids
/// that are not used any more are to be forgotten. The live broker with the lowest id does it; that two do for a while does no harm.
/// </summary>
internal sealed partial class TransactionWatch(
    IGrainFactory grains, BrokerMembership membership, LocalBroker broker, TimeProvider time, ILogger<TransactionWatch> logger)
    : BackgroundService
{
    private const int MaxConcurrentCalls = 32;

    private readonly TimeSpan _interval =
        TimeSpan.FromMilliseconds(broker.Config.GetInt(BrokerConfigs.TransactionTimeoutCheckIntervalMs));

    private readonly TimeSpan _expiryInterval =
        TimeSpan.FromMilliseconds(broker.Config.GetInt(BrokerConfigs.TransactionExpiryCheckIntervalMs));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        long lookedForExpired = time.GetTimestamp();
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(_interval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stoppingToken.IsCancellationRequested || membership.Alive is not [var first, ..] || first != broker.BrokerId)
                continue;

            bool all = time.GetElapsedTime(lookedForExpired) >= _expiryInterval;
            if (await TryWakeAsync(onlyOpen: !all, stoppingToken).ConfigureAwait(false) && all)
                lookedForExpired = time.GetTimestamp();
        }
    }

    private async Task<bool> TryWakeAsync(bool onlyOpen, CancellationToken stopping)
    {
        try
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrentCalls, CancellationToken = stopping };
            for (int shard = 0; shard < TopicCatalog.Shards; shard++)
            {
                string[] ids = await grains.GetGrain<ITransactionCatalogGrain>(shard).ListAsync(onlyOpen).ConfigureAwait(false);
                await Parallel.ForEachAsync(ids, options, async (id, _) => await WakeAsync(id).ConfigureAwait(false)).ConfigureAwait(false);
            }

            return true;
        }
        catch (Exception failure)
        {
            LogFailed(failure.GetBaseException().Message);
            return false;
        }
    }

    /// <summary>One that cannot be reached must not keep the others waiting.</summary>
    private async Task WakeAsync(string transactionalId)
    {
        try
        {
            await grains.GetTransaction(transactionalId).WakeAsync().ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            LogFailed(failure.GetBaseException().Message);
        }
    }

    [LoggerMessage(LogLevel.Debug, "Coordinators of transactions are woken later: {Reason}")]
    private partial void LogFailed(string reason);
}
