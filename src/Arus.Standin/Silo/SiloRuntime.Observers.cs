namespace Orleans.Runtime;

internal sealed partial class SiloRuntime
{
    /// <summary>An observer lives in a silo, whose address is its home, or in a client, which some silo is the gateway of.</summary>
    private async Task RouteToObserverAsync(Invocation invocation)
    {
        string home = ObserverTable.HomeOf(invocation.Target);
        if (home == ObserverHome)
        {
            Observers.Invoke(invocation);
        }
        else if (SiloAddress.TryParse(home, out SiloAddress? silo))
        {
            DispatchToObserver(silo!, invocation);
        }
        else if (Connections.TryGetClient(home, out Connection? client))
        {
            await client.WaitForRoomAsync();
            Send(client, invocation);
        }
        else if (invocation.Forwards == 0 && await FindGatewayAsync(home) is { } gateway)
        {
            invocation.Forwards++;
            await SendAsync(gateway, invocation);
        }
        else
        {
            throw new ClientNotAvailableException($"No client {home} is connected to the cluster.");
        }
    }

    private void DispatchToObserver(SiloAddress silo, Invocation invocation)
    {
        if (!TrySend(silo, invocation))
        {
            _ = SendAsync(silo, invocation);
        }
    }

    private async Task<SiloAddress?> FindGatewayAsync(string clientId)
    {
        foreach (SiloAddress silo in Membership.GetActiveSilos().Where(one => !one.Equals(SiloAddress)))
        {
            try
            {
                if (await GetSystemTarget<ISiloControl>(silo).HasClientAsync(clientId))
                {
                    return silo;
                }
            }
            catch (Exception exception) when (exception is OrleansException or TimeoutException)
            {
                // A silo that does not answer is no way to the client.
                LogUndeliverable(0, exception);
            }
        }

        return null;
    }
}
