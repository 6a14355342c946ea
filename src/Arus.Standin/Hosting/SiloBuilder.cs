using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Hosting;

/// <summary>What a silo is made of.</summary>
public interface ISiloBuilder
{
    IServiceCollection Services { get; }

    IConfiguration Configuration { get; }
}

internal sealed class SiloBuilder(IServiceCollection services, IConfiguration configuration) : ISiloBuilder
{
    public IServiceCollection Services { get; } = services;

    public IConfiguration Configuration { get; } = configuration;
}

public static class SiloBuilderExtensions
{
    public static ISiloBuilder ConfigureServices(this ISiloBuilder builder, Action<IServiceCollection> configureDelegate)
    {
        configureDelegate(builder.Services);
        return builder;
    }

    public static ISiloBuilder Configure<TOptions>(this ISiloBuilder builder, Action<TOptions> configureOptions)
        where TOptions : class
    {
        builder.Services.Configure(configureOptions);
        return builder;
    }

    public static ISiloBuilder Configure<TOptions>(this ISiloBuilder builder, IConfiguration configuration)
        where TOptions : class
    {
        builder.Services.AddOptions<TOptions>().Bind(configuration);
        return builder;
    }

    public static ISiloBuilder ConfigureLogging(this ISiloBuilder builder, Action<ILoggingBuilder> configureLogging)
    {
        builder.Services.AddLogging(configureLogging);
        return builder;
    }
}

public static class CoreHostingExtensions
{
    /// <summary>Silos on this machine. One of them is the primary, which the others ask to be let in; without an endpoint, this one.</summary>
    public static ISiloBuilder UseLocalhostClustering(
        this ISiloBuilder builder,
        int siloPort = EndpointOptions.DEFAULT_SILO_PORT,
        int gatewayPort = EndpointOptions.DEFAULT_GATEWAY_PORT,
        IPEndPoint? primarySiloEndpoint = null,
        string serviceId = "dev",
        string clusterId = "dev")
    {
        builder.Services.Configure<EndpointOptions>(options =>
        {
            options.AdvertisedIPAddress = IPAddress.Loopback;
            options.SiloPort = siloPort;
            options.GatewayPort = gatewayPort;
        });
        builder.Services.Configure<ClusterOptions>(options =>
        {
            if (!string.IsNullOrWhiteSpace(serviceId))
            {
                options.ServiceId = serviceId;
            }

            if (!string.IsNullOrWhiteSpace(clusterId))
            {
                options.ClusterId = clusterId;
            }
        });
        return builder.UseDevelopmentClustering(primarySiloEndpoint ?? new IPEndPoint(IPAddress.Loopback, siloPort));
    }

    public static ISiloBuilder UseDevelopmentClustering(this ISiloBuilder builder, IPEndPoint? primarySiloEndpoint) =>
        builder.UseDevelopmentClustering(options => options.PrimarySiloEndpoint = primarySiloEndpoint);

    public static ISiloBuilder UseDevelopmentClustering(this ISiloBuilder builder, Action<DevelopmentClusterMembershipOptions> configureOptions) =>
        builder.Configure(configureOptions);
}

public static class EndpointOptionsExtensions
{
    public static ISiloBuilder ConfigureEndpoints(
        this ISiloBuilder builder, IPAddress advertisedIP, int siloPort, int gatewayPort, bool listenOnAnyHostAddress = false) =>
        builder.Configure<EndpointOptions>(options =>
        {
            options.AdvertisedIPAddress = advertisedIP;
            options.SiloPort = siloPort;
            options.GatewayPort = gatewayPort;
            if (listenOnAnyHostAddress)
            {
                options.SiloListeningEndpoint = new IPEndPoint(IPAddress.Any, siloPort);
                options.GatewayListeningEndpoint = gatewayPort == 0 ? null : new IPEndPoint(IPAddress.Any, gatewayPort);
            }
        });
}

public static class SiloBuilderStartupExtensions
{
    public static ISiloBuilder AddStartupTask(
        this ISiloBuilder builder, Func<IServiceProvider, CancellationToken, Task> startupTask, int stage = ServiceLifecycleStage.Active)
    {
        builder.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(services =>
            new StartupParticipant(stage, token => startupTask(services, token)));
        return builder;
    }

    public static ISiloBuilder AddStartupTask(this ISiloBuilder builder, IStartupTask startupTask, int stage = ServiceLifecycleStage.Active) =>
        builder.AddStartupTask((_, token) => startupTask.Execute(token), stage);

    public static ISiloBuilder AddStartupTask<TStartup>(this ISiloBuilder builder, int stage = ServiceLifecycleStage.Active)
        where TStartup : class, IStartupTask =>
        builder.AddStartupTask((services, token) => ActivatorUtilities.GetServiceOrCreateInstance<TStartup>(services).Execute(token), stage);

    private sealed class StartupParticipant(int stage, Func<CancellationToken, Task> start) : ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe("startup task", stage, start);
    }
}
