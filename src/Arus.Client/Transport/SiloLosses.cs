using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Runtime;

namespace Arus.Client;

/// <summary>
/// Ends the wait for answers that do not come any more because a silo was lost. Orleans tells a client nothing of it: a call that was under
/// way to the silo, through its own gateway or passed on by another, is waited for until the response timeout. Thread-safe.
/// </summary>
/// <remarks>
/// Which silo a call was passed on to is not known here. So after a loss every call that is not answered soon counts as lost, and is
/// repeated; those to other silos are repeated needlessly, which does no harm to calls that are safe to repeat.
/// </remarks>
internal sealed class SiloLosses(TimeProvider time) : IClusterConnectionStatusObserver
{
    /// <summary>What is on its way from silos that live has this long to arrive.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromMilliseconds(300);

    /// <summary>
    /// Gateways learn of a loss one after the other, and some pass on calls to the lost silo until then. What was called after the first
    /// time and is not answered by now is repeated, too.
    /// </summary>
    private static readonly TimeSpan Spread = TimeSpan.FromMilliseconds(1500);

    private CancellationTokenSource _lost = new();

    /// <summary>With the clock of the services, if they have one.</summary>
    public static SiloLosses Create(IServiceProvider services) => new(services.GetService<TimeProvider>() ?? TimeProvider.System);

    /// <summary>A silo is lost. There are as many pending reports as there were losses within <see cref="Spread"/>.</summary>
    public void Report()
    {
        _ = GiveUpAfterAsync(Grace);
        _ = GiveUpAfterAsync(Spread);
    }

    /// <summary>Makes a call that is safe to repeat, and waits until it is answered or has to be repeated.</summary>
    /// <param name="call">Given a token that is cancelled when nobody waits for the answer any more.</param>
    /// <param name="limit">How long to wait at most.</param>
    /// <exception cref="SiloUnavailableException">A silo was lost, perhaps with this call.</exception>
    /// <exception cref="TimeoutException">There was no answer within the limit.</exception>
    public async Task<T> CallAsync<T>(Func<CancellationToken, Task<T>> call, TimeSpan limit, CancellationToken cancellationToken)
    {
        // Before the call begins, so that no loss is missed.
        CancellationToken lost = Volatile.Read(ref _lost).Token;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(lost, cancellationToken);
        try
        {
            return await call(end.Token).WaitAsync(limit, time, end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (lost.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new SiloUnavailableException("A silo was lost while the call was under way.");
        }
    }

    /// <inheritdoc/>
    public void NotifyGatewayCountChanged(int currentNumberOfGateways, int previousNumberOfGateways, bool connectionRecovered)
    {
        if (currentNumberOfGateways < previousNumberOfGateways)
            Report();
    }

    /// <inheritdoc/>
    public void NotifyClusterConnectionLost()
    {
        // The count of gateways has told it.
    }

    private async Task GiveUpAfterAsync(TimeSpan delay)
    {
        await Task.Delay(delay, time).ConfigureAwait(false);
        CancellationTokenSource lost = Interlocked.Exchange(ref _lost, new CancellationTokenSource());
        await lost.CancelAsync().ConfigureAwait(false);
    }
}
