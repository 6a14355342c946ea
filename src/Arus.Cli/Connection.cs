using System.Net;
using Arus.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Hosting;

namespace Arus.Cli;

/// <param name="Gateways">The native endpoints (<c>orleans.gateway.port</c>) of one or more silos, by which the others are found.</param>
/// <param name="Timeout">How long to try to connect.</param>
internal sealed record ConnectionSettings(IPEndPoint[] Gateways, string ClusterId, string ServiceId, TimeSpan Timeout);

/// <summary>A cluster that commands talk to.</summary>
internal interface IConnection : IAsyncDisposable
{
    IArusClient Client { get; }
}

internal interface IConnector
{
    /// <exception cref="UnreachableException">No silo answered in time.</exception>
    Task<IConnection> ConnectAsync(ConnectionSettings settings, CancellationToken cancellationToken);
}

/// <summary>No silo could be reached; the message names the addresses tried.</summary>
internal sealed class UnreachableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Connects through an Orleans cluster client.</summary>
internal sealed class OrleansConnector : IConnector
{
    public async Task<IConnection> ConnectAsync(ConnectionSettings settings, CancellationToken cancellationToken)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        // What goes wrong is said once, by the command, in words that name the fix.
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client
            .UseArusCluster(settings.Gateways.Select(gateway => gateway.ToString()), settings.ClusterId, settings.ServiceId)
            .UseArusTransport());
        builder.Services.AddSingleton<IHostLifetime, NoSignals>();
        builder.Services.AddArusClient(options => options.ClientId = "arus-cli");
        IHost host = builder.Build();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(settings.Timeout);
        try
        {
            await host.StartAsync(deadline.Token).WaitAsync(deadline.Token);
            return new OrleansConnection(host);
        }
        catch (Exception failure)
        {
            host.Dispose();
            if (cancellationToken.IsCancellationRequested)
                throw;

            throw new UnreachableException(
                $"No silo answered at {string.Join<IPEndPoint>(", ", settings.Gateways)}. Is the server running? "
                + "--gateway (or ARUS_CLI_GATEWAY) takes the host:port of its orleans.gateway.port.", failure);
        }
    }

    /// <summary>Signals are the command's: the host's own lifetime would stop the client under it.</summary>
    private sealed class NoSignals : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class OrleansConnection(IHost host) : IConnection
    {
        public IArusClient Client { get; } = host.Services.GetRequiredService<IArusClient>();

        public async ValueTask DisposeAsync()
        {
            await host.StopAsync(CancellationToken.None);
            host.Dispose();
        }
    }
}
