using System.Net;
using System.Net.Sockets;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;

namespace Arus.Client;

/// <summary>How an Orleans cluster client finds a cluster of Arus.</summary>
public static class ClusterClientBuilderExtensions
{
    private const int DefaultGatewayPort = 30_000;

    /// <summary>
    /// Finds the cluster by a few of its gateways. Once connected, the client asks the cluster for all of them and keeps to those that
    /// live, so that the named ones may go. It needs no database and no password of one.
    /// </summary>
    /// <param name="gateways">
    /// <c>host:port</c> of silos (<c>orleans.advertised.host</c>, <c>orleans.gateway.port</c>); the port is 30000 unless given. Names are
    /// resolved now.
    /// </param>
    /// <param name="clusterId">The cluster's <c>orleans.cluster.id</c>.</param>
    /// <param name="serviceId">The cluster's <c>orleans.service.id</c>.</param>
    /// <exception cref="ArgumentException">None is named, or one is not <c>host:port</c>, or its host has no address.</exception>
    public static IClientBuilder UseArusCluster(
        this IClientBuilder builder, IEnumerable<string> gateways, string clusterId = "arus", string serviceId = "arus")
    {
        IPEndPoint[] endpoints = [.. gateways.Select(Resolve)];
        if (endpoints.Length == 0)
            throw new ArgumentException("No gateway is named.", nameof(gateways));

        builder.UseStaticClustering(endpoints);
        builder.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = (clusterId, serviceId));
        builder.Configure<GatewayOptions>(options => options.GatewayListRefreshPeriod = ClusterGateways.Period);
        builder.UseConnectionRetryFilter(new OtherGateways(endpoints.Length));
        builder.Services.AddHostedService(services => new ClusterGateways(
            services.GetRequiredService<IClusterClient>(),
            services.GetRequiredService<IOptions<StaticGatewayListProviderOptions>>().Value,
            services.GetService<TimeProvider>() ?? TimeProvider.System));
        return builder;
    }

    /// <summary>IPv4 where a name has both: a silo listens on one, and most networks have that.</summary>
    private static IPEndPoint Resolve(string gateway)
    {
        string text = gateway.Trim();
        HostPort address = Endpoints.TryParseHostPort(text, out HostPort given) ? given : new HostPort(text, DefaultGatewayPort);
        if (IPAddress.TryParse(address.Host, out IPAddress? literal))
            return new IPEndPoint(literal, address.Port);

        if (address.Host.Length == 0 || address.Host.Contains(':'))
            throw new ArgumentException($"The gateway '{gateway}' is not host:port.", nameof(gateway));

        try
        {
            IPAddress[] addresses = Dns.GetHostAddresses(address.Host);
            IPAddress first = addresses.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
            return new IPEndPoint(first, address.Port);
        }
        catch (SocketException e)
        {
            throw new ArgumentException($"The host of the gateway '{gateway}' has no address.", nameof(gateway), e);
        }
    }

    /// <summary>A client that finds its first gateway dead tries the others before it gives up.</summary>
    private sealed class OtherGateways(int count) : IClientConnectionRetryFilter
    {
        /// <summary>Each is tried twice: the choice is round robin, and begins anywhere.</summary>
        private const int Rounds = 2;

        private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

        private int _attempts;

        public async Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken)
        {
            if (++_attempts >= count * Rounds)
                return false;

            await Task.Delay(Pause, cancellationToken).ConfigureAwait(false);
            return true;
        }
    }
}

/// <summary>
/// Keeps the list of gateways as the cluster tells it. Orleans reads the list in the same rhythm.
/// </summary>
internal sealed class ClusterGateways(IGrainFactory grains, StaticGatewayListProviderOptions list, TimeProvider time) : BackgroundService
{
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(2);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
                await RefreshAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The client stops.
        }
    }

    /// <summary>
    /// Takes over the gateways that the cluster tells, as far as they can be reached from here: behind a translation of addresses those
    /// that the client was given may be the only ones. What fails leaves the list as it is until the next time.
    /// </summary>
    internal async Task RefreshAsync(CancellationToken cancellationToken)
    {
        try
        {
            string[] told = await grains.GetGrain<IClusterGrain>(0).GetGatewaysAsync().WaitAsync(Period, time, cancellationToken)
                .ConfigureAwait(false);
            Uri[] gateways = [.. told.Select(IPEndPoint.Parse).Select(endpoint => endpoint.ToGatewayUri())];
            if (gateways.ToHashSet().SetEquals(list.Gateways))
                return;

            bool[] reached = await Task.WhenAll(told.Select(IPEndPoint.Parse).Select(endpoint => AnswersAsync(endpoint, cancellationToken)))
                .ConfigureAwait(false);
            List<Uri> live = [.. gateways.Where((_, i) => reached[i])];
            if (live.Count > 0)
                list.Gateways = live;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            System.Diagnostics.Debug.WriteLine($"gateways were not told: {e.Message}");
        }
    }

    private static async Task<bool> AnswersAsync(IPEndPoint endpoint, CancellationToken cancellationToken)
    {
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectTimeout);
        try
        {
            await socket.ConnectAsync(endpoint, limit.Token).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is SocketException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }
}
