using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// Lets the cluster be balanced: the live broker with the lowest id asks the controller's grain for one round after the other. That two
/// ask for a while does no harm, since the grain has one round at a time.
/// </summary>
internal sealed partial class BalanceWatch(
    IGrainFactory grains, BrokerMembership membership, LocalBroker broker, TimeProvider time, ILogger<BalanceWatch> logger)
{
    private static readonly TimeSpan IdleInterval = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan BusyInterval = TimeSpan.FromMilliseconds(250);

    public async Task RunAsync(CancellationToken stopping)
    {
        bool isBusy = false;
        while (!stopping.IsCancellationRequested)
        {
            await Task.Delay(isBusy ? BusyInterval : IdleInterval, time, stopping)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            isBusy = membership.Alive is [var first, ..] && first == broker.BrokerId && await TryAsync().ConfigureAwait(false);
        }
    }

    private async Task<bool> TryAsync()
    {
        try
        {
            return await grains.GetGrain<IControllerGrain>(0).BalanceAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogFailed(e.GetBaseException().Message);
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The cluster is balanced later: {Reason}")]
    private partial void LogFailed(string reason);
}
