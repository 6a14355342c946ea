using Arus.Grains;
using Arus.Hosting.Clustering;
using Arus.Hosting.Database;
using Arus.Kafka;
using Arus.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Hosting;

/// <summary>Puts an Arus broker into an Orleans silo.</summary>
public static class ArusSiloBuilderExtensions
{
    /// <summary>
    /// Makes the silo a broker beside whatever else it hosts, configured by the section <see cref="ArusOptions.Section"/> of the
    /// application's configuration and then by <paramref name="configure"/>.
    /// </summary>
    /// <inheritdoc cref="AddArus(ISiloBuilder, BrokerConfig)" path="/remarks|/exception"/>
    public static ISiloBuilder AddArus(this ISiloBuilder silo, Action<ArusOptions>? configure = null)
    {
        var options = new ArusOptions();
        options.Bind(silo.Configuration.GetSection(ArusOptions.Section));
        configure?.Invoke(options);
        return silo.AddArus(options.Build());
    }

    /// <summary>Makes the silo a broker beside whatever else it hosts.</summary>
    /// <remarks>
    /// Clustering is the application's, as are the <c>orleans.*</c> keys, unless <see cref="UseArusClustering"/> applies them. The silo
    /// gets the name of its broker. The cluster's metadata goes to the database (<c>arus.database</c>). Without one it goes to the grain
    /// storage named <see cref="StorageNames.Metadata"/>: an application that has one of its own registers it before this call, otherwise
    /// it is files in <c>log.dir</c>. Kafka clients are served by a Kestrel server of the listeners' own, so the application need not be a
    /// web application, and if it is, its endpoints stay as they are. <see cref="ArusBroker"/> tells from the application's services
    /// whether the broker is ready, and where. Where Orleans finds that its silo must not go on, the process ends at once.
    /// </remarks>
    /// <exception cref="StartRefusedException">
    /// The configuration is wrong, or, when the host starts, its directory cannot be used; the message says why.
    /// </exception>
    public static ISiloBuilder AddArus(this ISiloBuilder silo, BrokerConfig config)
    {
        IServiceCollection services = silo.Services;
        string logDirectory = config.GetString(BrokerConfigs.LogDir)!;
        bool usesDatabase = ClusterDatabase.IsUsedBy(config);
        services.AddSingleton(_ => DataDirectory.Open(logDirectory, config.GetInt(BrokerConfigs.BrokerId), usesDatabase));
        services.AddSingleton(provider => LogProviders.Create(config, provider));
        services.AddKeyedSingleton(
            BrokerConfigs.LogTypeFile, (provider, _) => LogProviders.Create(config, provider, BrokerConfigs.LogTypeFile));
        services.AddSingleton<IFatalErrorHandler, FatalErrorExit>();
        if (usesDatabase)
            ClusterDatabase.AddStores(silo, config);
        else if (!services.Any(service => service.ServiceType == typeof(IGrainStorage) && service.ServiceKey is StorageNames.Metadata))
            silo.AddFileGrainStorage(StorageNames.Metadata, storage => storage.Directory = DataDirectory.MetadataOf(logDirectory));

        silo.AddArusBroker(
            config, config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeFile ? DataDirectory.TopicsOf(logDirectory) : null);
        services.AddKafkaListeners();
        services.AddSingleton(provider => new ArusBroker(
            config,
            provider.GetRequiredService<IGrainFactory>(),
            provider.GetRequiredService<DataDirectory>(),
            provider.GetRequiredService<IReadOnlyList<KafkaListener>>(),
            provider.GetRequiredService<ILogger<ArusBroker>>()));

        // Last, since it reports that what was added before has started.
        services.AddHostedService(provider => provider.GetRequiredService<ArusBroker>());
        return silo;
    }

    /// <summary>
    /// Applies the <c>orleans.*</c> keys: cluster and service id, addresses, failure detection, response timeout and the age at which idle
    /// grains are put away. With a database (<c>arus.database</c>) the silo is one of its cluster; without one it is a cluster of its own.
    /// </summary>
    /// <exception cref="StartRefusedException">
    /// A host of the configuration has no address, or the process is not the pod that <c>orleans.kubernetes</c> needs.
    /// </exception>
    public static ISiloBuilder UseArusClustering(this ISiloBuilder silo, BrokerConfig config)
    {
        silo.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) =
            (config.GetString(BrokerConfigs.OrleansClusterId)!, config.GetString(BrokerConfigs.OrleansServiceId)!));
        silo.Configure<EndpointOptions>(options => SiloEndpoints.Configure(options, config));
        silo.Configure<SiloMessagingOptions>(
            options => options.ResponseTimeout = config.GetMilliseconds(BrokerConfigs.OrleansResponseTimeoutMs));
        silo.Configure<GrainCollectionOptions>(
            options => options.CollectionAge = config.GetMilliseconds(BrokerConfigs.OrleansCollectionAgeMs));
        silo.Configure<ClusterMembershipOptions>(options => FailureDetection.Configure(options, config));
        if (config.GetBoolean(BrokerConfigs.OrleansKubernetes))
            KubernetesPods.Watch(silo, config);

        if (!ClusterDatabase.IsUsedBy(config))
            return silo.UseDevelopmentClustering(primarySiloEndpoint: null);

        ClusterDatabase.AddMembership(silo, config);

        // After the death of a silo the default directory deactivates grains of others whose entries it held; the distributed one rebuilds
        // its ranges from the silos that live. It keeps registrations in the dead silo's ranges waiting, half a minute by default, lest
        // two activations of a grain exist: ours may, since every durable write is fenced.
#pragma warning disable ORLEANSEXP003
        silo.AddDistributedGrainDirectory();
#pragma warning restore ORLEANSEXP003
        silo.Configure<GrainDirectoryOptions>(options => options.RangeLeaseDuration = TimeSpan.Zero);
        return silo;
    }
}
