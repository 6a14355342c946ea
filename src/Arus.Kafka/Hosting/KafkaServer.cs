using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Arus.Grains;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Kafka;

/// <summary>
/// Serves the Kafka listeners as raw TCP endpoints of a Kestrel server apart from the host's. Kestrel ignores the URLs configured for a
/// server to which code adds an endpoint, and the listeners' memory pool and scheduling do not suit web requests: in a server of its own
/// the listener changes nothing of a web application that hosts it, and needs none. It registers this broker with the cluster once its
/// ports are bound: with port 0 they are not known before.
/// </summary>
internal sealed class KafkaServer(
    IReadOnlyList<KafkaListener> listeners, KafkaListenerOptions options, KafkaConnectionHandler handler, TransportMemoryPool memory,
    LocalBroker broker, IGrainFactory grains, TimeProvider time, ILoggerFactory loggers, IMeterFactory meters)
    : IHostedService, IHttpApplication<IFeatureCollection>, IAsyncDisposable
{
    /// <summary>How long a broker that starts tries to register. What it asks may lie on a silo that is just dying.</summary>
    private static readonly TimeSpan RegistrationLimit = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How long another broker of this number may be its own earlier life: one that was killed and comes back under another address is
    /// among the living until the others have found out. Several times what that takes.
    /// </summary>
    private static readonly TimeSpan EarlierLifeLimit = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan RegistrationPause = TimeSpan.FromMilliseconds(200);

    private readonly List<(KafkaListener Listener, ListenOptions Endpoint)> _bound = [];
    private WebApplication? _kestrel;

    internal IServiceProvider? Services => _kestrel?.Services;

    /// <exception cref="IOException">An address cannot be bound; the message names it.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(Listen);
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton(meters);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(new TransportMemoryPoolFactory(memory));
        builder.Services.Configure<SocketTransportOptions>(Configure);
        _kestrel = builder.Build();
        await _kestrel.Services.GetRequiredService<IServer>().StartAsync(this, cancellationToken);
        foreach ((KafkaListener listener, ListenOptions endpoint) in _bound)
            listener.SetBoundPort(endpoint.IPEndPoint?.Port ?? listener.Bind.Port);

        await RegisterAsync(cancellationToken);
    }

    /// <summary>
    /// Lets connections finish what they have begun, for <see cref="KafkaListenerOptions.MaxDrainTime"/> or until
    /// <paramref name="cancellationToken"/> is cancelled, and aborts the others: a client that takes no response must not use up the time
    /// that the rest of the broker needs to stop.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_kestrel is null)
            return;

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(options.MaxDrainTime);
        await _kestrel.Services.GetRequiredService<IServer>().StopAsync(limit.Token);
    }

    public ValueTask DisposeAsync() => _kestrel?.DisposeAsync() ?? ValueTask.CompletedTask;

    // The server has no HTTP endpoint, so these are never called; Kestrel does not start without them.
    IFeatureCollection IHttpApplication<IFeatureCollection>.CreateContext(IFeatureCollection contextFeatures) => contextFeatures;

    Task IHttpApplication<IFeatureCollection>.ProcessRequestAsync(IFeatureCollection context) => Task.CompletedTask;

    void IHttpApplication<IFeatureCollection>.DisposeContext(IFeatureCollection context, Exception? exception)
    {
    }

    internal void Configure(SocketTransportOptions transport)
    {
        transport.NoDelay = true;

        // A connection's code never blocks, and a switch between threads costs more than most of its steps.
        transport.UnsafePreferInlineScheduling = true;
        transport.Backlog = broker.Config.GetInt(BrokerConfigs.SocketListenBacklogSize);
        transport.CreateBoundListenSocket = BindListenSocket;
    }

    /// <summary>Connections inherit the sizes of the buffers from the socket that listens.</summary>
    private Socket BindListenSocket(EndPoint endpoint)
    {
        Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        if (broker.Config.GetInt(BrokerConfigs.SocketReceiveBufferBytes) is > 0 and var receive)
            socket.ReceiveBufferSize = receive;

        if (broker.Config.GetInt(BrokerConfigs.SocketSendBufferBytes) is > 0 and var send)
            socket.SendBufferSize = send;

        return socket;
    }

    private async Task RegisterAsync(CancellationToken cancellationToken)
    {
        var registration = new BrokerRegistration(
            broker.BrokerId, broker.SiloName, [.. listeners.Select(listener => listener.Advertised)],
            broker.Config.GetString(BrokerConfigs.BrokerRack));
        long start = time.GetTimestamp();
        while (true)
        {
            try
            {
                await grains.GetGrain<IClusterGrain>(0).RegisterBrokerAsync(registration);
                return;
            }
            catch (Exception e) when (MayPass(e, time.GetElapsedTime(start)))
            {
                await Task.Delay(RegistrationPause, time, cancellationToken);
            }
        }
    }

    /// <summary>Whether a failed registration may succeed a moment later: a silo is gone, or a call was lost.</summary>
    private static bool MayPass(Exception failure, TimeSpan elapsed) => failure switch
    {
        CorruptGrainStateException => false,
        ArusException refusal => refusal.Code == ErrorCode.DuplicateBrokerRegistration && elapsed < EarlierLifeLimit,
        _ => (failure is OrleansException or TimeoutException || StorageFailure.Is(failure)) && elapsed < RegistrationLimit,
    };

    private void Listen(KestrelServerOptions kestrel)
    {
        foreach (KafkaListener listener in listeners)
        {
            void Serve(ListenOptions endpoint)
            {
                _bound.Add((listener, endpoint));
                endpoint.Run(connection => handler.RunAsync(connection, listener));
            }

            if (listener.ResolveBind() is { } address)
                kestrel.Listen(address, Serve);
            else
                kestrel.ListenAnyIP(listener.Bind.Port, Serve);
        }
    }
}
