using System.Net;
using Arus.Grains;
using Arus.Kafka;
using Arus.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Storage;

namespace Arus.Hosting;

/// <summary>Puts an Arus broker into an Orleans silo.</summary>
public static class ArusSiloBuilderExtensions
{
    private static readonly TimeSpan MembershipRefreshPeriod = TimeSpan.FromSeconds(2);

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
    /// gets the name of its broker. The cluster's metadata goes to the grain storage named <see cref="StorageNames.Metadata"/>: an
    /// application that has one of its own registers it before this call, otherwise it is files in <c>arus.metadata.dir</c>. Kafka clients
    /// are served by a Kestrel server of the listeners' own, so the application need not be a web application, and if it is, its endpoints
    /// stay as they are. <see cref="ArusBroker"/> tells from the application's services whether the broker is ready, and where.
    /// </remarks>
    /// <exception cref="StartRefusedException">
    /// The configuration is wrong, or, when the host starts, its directory cannot be used; the message says why.
    /// </exception>
    public static ISiloBuilder AddArus(this ISiloBuilder silo, BrokerConfig config)
    {
        IServiceCollection services = silo.Services;
        string logDirectory = config.GetString(BrokerConfigs.LogDir)!;
        services.AddSingleton(_ => DataDirectory.Open(logDirectory, config.GetInt(BrokerConfigs.BrokerId)));
        services.AddSingleton(provider => LogProviders.Create(config, provider));
        if (!services.Any(service => service.ServiceType == typeof(IGrainStorage) && Equals(service.ServiceKey, StorageNames.Metadata)))
        {
            silo.AddFileGrainStorage(
                StorageNames.Metadata,
                storage => storage.Directory = config.GetString(BrokerConfigs.MetadataDir) ?? DataDirectory.MetadataOf(logDirectory));
        }

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
    /// Applies the <c>orleans.*</c> keys: cluster and service id, ports, the primary silo of processes on one machine, failure detection,
    /// response timeout and the age at which idle grains are put away.
    /// </summary>
    /// <exception cref="StartRefusedException"><c>orleans.primary.endpoint</c> names no IP address.</exception>
    public static ISiloBuilder UseArusClustering(this ISiloBuilder silo, BrokerConfig config)
    {
        silo.UseLocalhostClustering(
            config.GetInt(BrokerConfigs.OrleansSiloPort),
            config.GetInt(BrokerConfigs.OrleansGatewayPort),
            config.GetString(BrokerConfigs.OrleansPrimaryEndpoint) is { } primary
                ? ParseEndpoint(BrokerConfigs.OrleansPrimaryEndpoint, primary)
                : null,
            config.GetString(BrokerConfigs.OrleansServiceId)!,
            config.GetString(BrokerConfigs.OrleansClusterId)!);
        silo.Configure<ClusterMembershipOptions>(options =>
        {
            options.ProbeTimeout = config.GetMilliseconds(BrokerConfigs.OrleansProbeTimeoutMs);
            options.NumMissedProbesLimit = config.GetInt(BrokerConfigs.OrleansMissedProbesLimit);
            options.TableRefreshTimeout = MembershipRefreshPeriod;
        });
        silo.Configure<SiloMessagingOptions>(
            options => options.ResponseTimeout = config.GetMilliseconds(BrokerConfigs.OrleansResponseTimeoutMs));
        silo.Configure<GrainCollectionOptions>(
            options => options.CollectionAge = config.GetMilliseconds(BrokerConfigs.OrleansCollectionAgeMs));
        return silo;
    }

    /// <summary>Reads an address whose host is an IP address or <c>localhost</c>.</summary>
    /// <exception cref="StartRefusedException">It is neither; the message names <paramref name="key"/>.</exception>
    internal static IPEndPoint ParseEndpoint(string key, string text) =>
        Endpoints.TryParseHostPort(text, out HostPort address)
        && IPAddress.TryParse(address.Host == "localhost" ? "127.0.0.1" : address.Host, out IPAddress? host)
            ? new IPEndPoint(host, address.Port)
            : throw new StartRefusedException($"{key}={text}: the host must be an IP address or localhost.");
}
