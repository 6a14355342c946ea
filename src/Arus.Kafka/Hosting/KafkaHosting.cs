using Arus.Grains;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Arus.Kafka;

/// <summary>Adds the Kafka listener to a silo's host.</summary>
public static class KafkaHosting
{
    /// <summary>
    /// Adds the Kafka listeners of <see cref="ILocalBroker.Config"/> to the host's Kestrel server, and makes this broker and its
    /// addresses known to the cluster once they are bound. The host must be a web host that starts Kestrel after Orleans, and have
    /// <see cref="ILocalBroker"/> and <see cref="IGrainFactory"/> among its services. Call it after Kestrel was added, whose memory for
    /// connections it replaces.
    /// </summary>
    public static IServiceCollection AddKafkaListeners(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddMetrics();
        services.AddSingleton(provider => KafkaListenerOptions.FromConfig(provider.GetRequiredService<ILocalBroker>().Config));
        services.AddSingleton(provider => new KafkaListeners(KafkaListener.FromConfig(provider.GetRequiredService<ILocalBroker>().Config)));
        services.AddSingleton<KafkaMetrics>();
        services.AddSingleton<ConnectionRegistry>();
        services.AddSingleton<RequestMemory>();
        services.AddSingleton<TopicCache>();
        services.AddSingleton<ClusterCache>();
        services.AddSingleton<PartitionGrains>();
        services.AddSingleton<AppendScheduler>();
        services.AddSingleton<RateLimitedFailureLogger>();
        services.AddSingleton<ConnectionServices>();
        services.AddSingleton<HandlerRegistry>();
        foreach (Type handler in HandlerRegistry.Types)
        {
            services.AddSingleton(typeof(ApiHandler), handler);
        }

        services.AddSingleton<KafkaConnectionHandler>();
        services.AddSingleton<IMemoryPoolFactory<byte>, TransportMemoryPoolFactory>();
        services.AddSingleton<IConfigureOptions<KestrelServerOptions>, KestrelSetup>();
        services.Configure<SocketTransportOptions>(options =>
        {
            options.NoDelay = true;

            // A connection's code never blocks, and a switch between threads costs more than most of its steps.
            options.UnsafePreferInlineScheduling = true;
        });
        services.AddHostedService<BrokerRegistrar>();
        services.AddHostedService<IdleConnectionSweeper>();
        return services;
    }
}

/// <summary>The listeners of this process. Addresses with port 0 are right once the host has started.</summary>
/// <param name="All">In the order of the configuration.</param>
public sealed record KafkaListeners(IReadOnlyList<KafkaListener> All)
{
    internal List<(KafkaListener Listener, ListenOptions Options)> Bound { get; } = [];

    /// <summary>What clients are told about this broker.</summary>
    public BrokerEndpoint[] Advertised => [.. All.Select(listener => listener.Advertised)];

    internal void ReadBoundPorts()
    {
        foreach ((KafkaListener listener, ListenOptions options) in Bound)
        {
            if (options.IPEndPoint is { } endPoint)
            {
                listener.SetBoundPort(endPoint.Port);
            }
        }
    }
}

/// <summary>Binds the listeners as raw TCP end points of Kestrel.</summary>
internal sealed class KestrelSetup(KafkaListeners listeners, KafkaConnectionHandler handler) : IConfigureOptions<KestrelServerOptions>
{
    public void Configure(KestrelServerOptions options)
    {
        foreach (KafkaListener listener in listeners.All)
        {
            void Serve(ListenOptions endpoint)
            {
                listeners.Bound.Add((listener, endpoint));
                endpoint.Run(connection => handler.RunAsync(connection, listener));
            }

            if (listener.ResolveBind() is { } address)
            {
                options.Listen(address, Serve);
            }
            else
            {
                options.ListenAnyIP(listener.Bind.Port, Serve);
            }
        }
    }
}

/// <summary>Registers this broker with the cluster once its ports are bound: with port 0 they are not known before.</summary>
internal sealed class BrokerRegistrar(KafkaListeners listeners, ILocalBroker broker, IGrainFactory grains) : IHostedLifecycleService
{
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StartedAsync(CancellationToken cancellationToken)
    {
        listeners.ReadBoundPorts();
        var registration = new BrokerRegistration(
            broker.BrokerId, broker.SiloName, listeners.Advertised, broker.Config.GetString(BrokerConfigs.BrokerRack));
        await grains.GetGrain<IClusterGrain>(0).RegisterBrokerAsync(registration);
    }

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
