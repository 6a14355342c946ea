using Arus.Grains;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Arus.Kafka;

/// <summary>Adds the Kafka listener to a silo's host.</summary>
public static class KafkaHosting
{
    /// <summary>
    /// Adds the Kafka listeners of <see cref="LocalBroker.Config"/> to the host, on a Kestrel server of their own, and makes this broker
    /// and its addresses known to the cluster once they are bound. The host must start them after Orleans, and have
    /// <see cref="LocalBroker"/> and <see cref="IGrainFactory"/> among its services.
    /// </summary>
    public static IServiceCollection AddKafkaListeners(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddMetrics();
        services.AddSingleton(provider => KafkaListenerOptions.FromConfig(provider.GetRequiredService<LocalBroker>().Config));
        services.AddSingleton(provider => new KafkaListeners(KafkaListener.FromConfig(provider.GetRequiredService<LocalBroker>().Config)));
        services.AddSingleton<KafkaMetrics>();
        services.AddSingleton<ConnectionRegistry>();
        services.AddSingleton<RequestMemory>();
        services.AddSingleton<TopicCache>();
        services.AddSingleton<ClusterCache>();
        services.AddSingleton<PartitionGrains>();
        services.AddSingleton<AppendScheduler>();
        services.AddSingleton<RateLimitedFailureLogger>();
        services.AddSingleton<ConnectionLog>();
        services.AddSingleton<ConnectionServices>();
        services.AddSingleton<HandlerRegistry>();
        foreach (Type handler in HandlerRegistry.Types)
            services.AddSingleton(typeof(ApiHandler), handler);

        services.AddSingleton<KafkaConnectionHandler>();
        services.AddHostedService<KafkaServer>();
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
                listener.SetBoundPort(endPoint.Port);
        }
    }
}

/// <summary>Registers this broker with the cluster once its ports are bound: with port 0 they are not known before.</summary>
internal sealed class BrokerRegistrar(KafkaListeners listeners, LocalBroker broker, IGrainFactory grains) : IHostedLifecycleService
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
