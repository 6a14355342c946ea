using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Arus.Kafka;

/// <summary>Accepts connections within the limits and serves them until they close. One object serves all listeners.</summary>
internal sealed class KafkaConnectionHandler(ConnectionServices services, ConnectionRegistry connections)
{
    public async Task RunAsync(ConnectionContext transport, KafkaListener listener)
    {
        IPAddress address = transport.RemoteEndPoint is IPEndPoint remote ? remote.Address : IPAddress.None;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();

        var connection = new KafkaConnection(transport, listener, address, services);
        if (connections.TryAdd(connection) is { } limit)
        {
            services.Metrics.ConnectionRefused();
            services.Log.Refused(address, listener.Name, limit);
            return;
        }

        services.Metrics.ConnectionOpened();
        CancellationTokenRegistration stop = default;
        try
        {
            // The server stops: finish what has begun, begin nothing.
            stop = transport.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested
                .UnsafeRegister(static state => ((KafkaConnection)state!).StopReading(), connection) ?? default;
            if (connections.ReserveSlot() is { Ticks: > 0 } wait)
            {
                await Task.Delay(wait, services.Time, transport.ConnectionClosed)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            await connection.RunAsync();
        }
        finally
        {
            await stop.DisposeAsync();
            connections.Remove(connection);
            services.Metrics.ConnectionClosed();
        }
    }
}
