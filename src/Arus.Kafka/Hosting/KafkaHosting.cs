using System.Diagnostics.Metrics;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.DependencyInjection;

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
        services.AddSingleton(provider => new KafkaListenerOptions(provider.GetRequiredService<LocalBroker>().Config));
        services.AddSingleton<IReadOnlyList<KafkaListener>>(
            provider => KafkaListener.FromConfig(provider.GetRequiredService<LocalBroker>().Config));
        services.AddSingleton(provider => new KafkaMetrics(provider.GetRequiredService<IMeterFactory>().Create(KafkaMetrics.MeterName)));
        services.AddSingleton<ConnectionRegistry>();
        services.AddSingleton<RequestMemory>();
        services.AddSingleton<ResponseMemory>();
        services.AddSingleton<TransportMemoryPool>();
        services.AddSingleton<TopicCache>();
        services.AddSingleton<AllTopics>();
        services.AddSingleton<ClusterCache>();
        services.AddSingleton<PartitionGrains>();
        services.AddSingleton<PartitionReads>();
        services.AddSingleton<FetchSessions>();
        services.AddSingleton<AppendScheduler>();
        services.AddSingleton<RateLimitedFailureLogger>();
        services.AddSingleton<ConnectionLog>();
        services.AddSingleton<ConnectionServices>();
        services.AddSingleton<HandlerRegistry>();
        foreach (Type handler in HandlerRegistry.Types)
            services.AddSingleton(typeof(ApiHandler), handler);

        services.AddSingleton<KafkaConnectionHandler>();
        services.AddHostedService<KafkaServer>();
        services.AddHostedService<ListenerSweeper>();
        services.AddHostedService<ConnectionRenewal>();
        return services;
    }
}
