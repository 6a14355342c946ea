using Arus.Coordination.Replication;
using Arus.Storage;
using Arus.Storage.Rows;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Registers the grains' side of a broker in a silo.</summary>
public static class BrokerSiloBuilderExtensions
{
    /// <summary>
    /// Adds what the grains of Arus need, and names the silo after its broker. What is left to the host: an
    /// <see cref="IPartitionLogProvider"/>, grain storage named <see cref="StorageNames.Metadata"/>, clustering. With an
    /// <see cref="IPartitionStateStore"/>, to be added before, partitions are replicated; without one this is a single node.
    /// </summary>
    /// <param name="logDirectory">Where the logs are, so that records of idle partitions expire as well; null if not in files.</param>
    public static ISiloBuilder AddArusBroker(this ISiloBuilder builder, BrokerConfig config, string? logDirectory = null)
    {
        var broker = new LocalBroker(config);
        builder.Services.AddSingleton(broker);
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<ClusterIdentity>();
        builder.Services.AddSingleton<BrokerMembership>();
        builder.Services.AddSingleton<BrokerMetrics>();
        builder.Services.AddSingleton<TransactionVerifier>();
        builder.Services.AddSingleton<TopicLogs>();
        builder.Services.TryAddKeyedSingleton<IPartitionLogProvider>(
            BrokerConfigs.LogTypeStorage,
            (services, _) => new RowLogProvider(
                services.GetRequiredKeyedService<IGrainStorage>(StorageNames.Metadata),
                new RowLogOptions { Time = services.GetRequiredService<TimeProvider>() }));
        builder.Services.AddSingleton(services => new LocalPartitions(
            services.GetRequiredService<TopicLogs>(), services.GetRequiredService<BrokerMetrics>()));
        builder.Services.AddSingleton<ConsumerLag>();
        builder.Services.AddHostedService(services => services.GetRequiredService<ConsumerLag>());
        builder.Services.AddSingleton<PartitionMaintenance>();
        builder.Services.AddHostedService(services => services.GetRequiredService<PartitionMaintenance>());

        builder.Services.AddSingleton<ConfigWatch>();
        builder.Services.AddHostedService(services => services.GetRequiredService<ConfigWatch>());
        builder.AddStartupTask((services, cancellation) => services.GetRequiredService<ConfigWatch>().StartAtSiloAsync(cancellation));

        builder.Services.AddHostedService<TransactionWatch>();

        builder.Services.AddSingleton<PartitionLookup>();
        builder.Services.AddSingleton<LeaderElections>();
        builder.Services.AddSingleton<Reassignments>();
        builder.Services.AddSingleton<ClusterBalancer>();
        builder.Services.AddSingleton<MetadataRestore>();

        builder.Services.AddSingleton<LoggerLevels>();
        builder.Services.AddSingleton<ILoggerProvider>(services => services.GetRequiredService<LoggerLevels>());
        builder.Services.AddSingleton<IPostConfigureOptions<LoggerFilterOptions>>(services => services.GetRequiredService<LoggerLevels>());
        builder.Services.AddSingleton<IOptionsChangeTokenSource<LoggerFilterOptions>>(
            services => services.GetRequiredService<LoggerLevels>());


        // After whatever else names the silo: the name is how a broker's silo is found.
        builder.Services.PostConfigure<SiloOptions>(options => options.SiloName = broker.SiloName);
        builder.AddPlacementDirector<BrokerPlacement, BrokerPlacementDirector>();
        if (builder.Services.Any(service => service.ServiceType == typeof(IPartitionStateStore)))
            return builder.AddReplication(config, logDirectory ?? "");

        // With replication the logs of all partitions that a broker keeps are open.
        builder.Services.AddSingleton(
            services => ActivatorUtilities.CreateInstance<IdlePartitionRetention>(services, [logDirectory ?? ""]));
        builder.Services.AddHostedService(services => services.GetRequiredService<IdlePartitionRetention>());
        builder.AddPlacementDirector<PartitionPlacement, PartitionPlacementDirector>();
        builder.Services.PostConfigure<GrainTypeOptions>(options => options.Classes.Remove(typeof(ReplicatedPartitionGrain)));
        return builder;
    }

    private static ISiloBuilder AddReplication(this ISiloBuilder builder, BrokerConfig config, string logDirectory)
    {
        IServiceCollection services = builder.Services;
        services.AddSingleton(new ReplicationMachine(new ReplicationOptions
        {
            BrokerId = config.GetInt(BrokerConfigs.BrokerId),
            CatchUpBytesPerSecond = config.GetLong(BrokerConfigs.ReplicationCatchUpRate),
            LagTimeMaxMs = (int)Math.Clamp(config.GetLong(BrokerConfigs.ReplicaLagTimeMaxMs), 1, int.MaxValue),
        }));
        services.AddSingleton<PartitionImage>();
        services.AddSingleton<TopicImage>();
        services.AddSingleton<ITopicImage>(provider => provider.GetRequiredService<TopicImage>());
        services.AddSingleton<LostBrokers>();
        services.AddSingleton<MachinePump>();
        services.AddSingleton<StateSwaps>();
        services.AddSingleton<StatePolling>();
        services.AddSingleton<IBrokerServices, BrokerServices>();
        services.AddSingleton<ReplicaCalls>();
        services.AddSingleton<ReplicaConfigs>();
        services.AddSingleton<ReplicaWork>();
        services.AddSingleton<ReplicationMetrics>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<StrayLogs>(provider, [logDirectory]));
        services.AddSingleton<ReplicationHost>();
        services.AddSingleton<ILocalReplicas>(provider => provider.GetRequiredService<ReplicationHost>());
        services.AddSingleton<ILocalLeaders, LocalLeaders>();
        services.AddSingleton<ILocalFollowers, FollowerReads>();
        services.AddSingleton<TopicReplication>();
        services.AddSingleton<BalanceWatch>();
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, ReplicationLifecycle>();
        services.PostConfigure<GrainTypeOptions>(options => options.Classes.Remove(typeof(PartitionGrain)));
        builder.AddGrainService<BrokerService>();
        builder.AddGrainDirectory(
            PartitionDirectory.Name, (provider, _) => ActivatorUtilities.CreateInstance<PartitionDirectory>(provider));
        builder.AddPlacementDirector<ReplicaPlacement, ReplicaPlacementDirector>();
        return builder;
    }
}

/// <summary>Names of grain storage providers.</summary>
public static class StorageNames
{
    /// <summary>Where the cluster's metadata is kept: topics, groups, leader epochs, producer ids.</summary>
    public const string Metadata = "arus";
}
