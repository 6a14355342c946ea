using System.Net;
using Arus.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;

namespace Arus.Chaos;

/// <summary>An Orleans client of the cluster, which knows the gateways of all brokers.</summary>
internal sealed class NativeConnection : IAsyncDisposable
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(5);

    private readonly IHost _host;

    private NativeConnection(IHost host) => _host = host;

    public IArusClient Client => _host.Services.GetRequiredService<IArusClient>();

    public static async Task<NativeConnection> ConnectAsync(Cluster cluster)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders();
        IPEndPoint[] gateways = [.. cluster.Brokers.Select(broker => new IPEndPoint(broker.Address, Broker.GatewayPort))];
        builder.UseOrleansClient(client => client.UseStaticClustering(gateways).UseArusTransport());
        builder.Services.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = ("arus", "arus"));
        builder.Services.AddArusClient(options => options.ClientId = "arus-chaos");
        IHost host = builder.Build();
        await host.StartAsync();
        return new NativeConnection(host);
    }

    public async ValueTask DisposeAsync()
    {
        using var briefly = new CancellationTokenSource(StopLimit);
        try
        {
            await _host.StopAsync(briefly.Token);
        }
        catch (OperationCanceledException)
        {
            // A silo that is gone does not take the farewell.
        }

        _host.Dispose();
    }
}
