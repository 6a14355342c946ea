using Arus.Grains;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Client;

/// <summary>
/// Has a silo tell which silos live, and reports those that are lost: they may have had calls that another silo's gateway passed on.
/// Inside a silo it does nothing: there Orleans itself fails calls to a silo that is declared dead.
/// </summary>
/// <param name="self">Null unless this is inside a silo.</param>
internal sealed class SiloWatch(
    IGrainFactory grains, SiloLosses losses, ArusClientOptions options, TimeProvider time, ILogger logger, ILocalSiloDetails? self = null)
    : BackgroundService
{
    /// <summary>How much longer than its wait an answer may take.</summary>
    private static readonly TimeSpan ResponseGrace = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(IMembershipGrain.MaxWaitMs) + ResponseGrace;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (self is not null)
            return;

        var backoff = new ExponentialBackoff(options.RetryBackoff, options.RetryBackoffMax);
        var known = new SiloMembership(-1, []);
        for (int failures = 0; !stoppingToken.IsCancellationRequested;)
        {
            try
            {
                // Throws until the client has connected: this may have been started first.
                IMembershipGrain silo = grains.GetGrain<IMembershipGrain>(0);
                SiloMembership now = await losses.CallAsync(
                    _ => silo.WaitForChangeAsync(known.Version), Limit, stoppingToken).ConfigureAwait(false);
                if (known.Live.Except(now.Live).Any())
                    losses.Report();

                (known, failures) = (now, 0);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                // Also of a cluster that is older than this client: then calls to a silo that dies wait for their time limits.
                logger.LogDebug(e, "The live silos were not told");
                await Task.Delay(backoff.Of(++failures), time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }
}
