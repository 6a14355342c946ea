using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace Orleans.Hosting;

/// <summary>What a cluster client is made of.</summary>
public interface IClientBuilder
{
    IServiceCollection Services { get; }

    IConfiguration Configuration { get; }
}

public class ClientBuilder(IServiceCollection services, IConfiguration configuration) : IClientBuilder
{
    public IServiceCollection Services { get; } = services;

    public IConfiguration Configuration { get; } = configuration;
}

public static class ClientBuilderExtensions
{
    public static IClientBuilder ConfigureServices(this IClientBuilder builder, Action<IServiceCollection> configureDelegate)
    {
        configureDelegate(builder.Services);
        return builder;
    }

    public static IClientBuilder Configure<TOptions>(this IClientBuilder builder, Action<TOptions> configureOptions)
        where TOptions : class
    {
        builder.Services.Configure(configureOptions);
        return builder;
    }

    public static IClientBuilder Configure<TOptions>(this IClientBuilder builder, IConfiguration configuration)
        where TOptions : class
    {
        builder.Services.AddOptions<TOptions>().Bind(configuration);
        return builder;
    }

    public static IClientBuilder UseLocalhostClustering(
        this IClientBuilder builder, int gatewayPort = EndpointOptions.DEFAULT_GATEWAY_PORT, string serviceId = "dev", string clusterId = "dev") =>
        builder.UseLocalhostClustering([gatewayPort], serviceId, clusterId);

    public static IClientBuilder UseLocalhostClustering(
        this IClientBuilder builder, int[] gatewayPorts, string serviceId = "dev", string clusterId = "dev") =>
        builder
            .Configure<ClusterOptions>(options => (options.ServiceId, options.ClusterId) = (serviceId, clusterId))
            .UseStaticClustering([.. gatewayPorts.Select(port => new IPEndPoint(IPAddress.Loopback, port))]);

    public static IClientBuilder UseStaticClustering(this IClientBuilder builder, params IPEndPoint[] endpoints) =>
        builder.UseStaticClustering(options => options.Gateways = [.. endpoints.Select(one => new Uri($"gwy.tcp://{one}/0"))]);

    public static IClientBuilder UseStaticClustering(this IClientBuilder builder, Action<StaticGatewayListProviderOptions> configureOptions) =>
        builder.Configure(configureOptions);

    /// <summary>Asked after each failed attempt to connect at start; without it the first failure ends the start.</summary>
    public static IClientBuilder UseConnectionRetryFilter(
        this IClientBuilder builder, Func<Exception, CancellationToken, Task<bool>> connectionRetryFilter) =>
        builder.UseConnectionRetryFilter(new DelegateRetryFilter(connectionRetryFilter));

    public static IClientBuilder UseConnectionRetryFilter(this IClientBuilder builder, IClientConnectionRetryFilter connectionRetryFilter)
    {
        builder.Services.AddSingleton(connectionRetryFilter);
        return builder;
    }

    public static IClientBuilder UseConnectionRetryFilter<TConnectionRetryFilter>(this IClientBuilder builder)
        where TConnectionRetryFilter : class, IClientConnectionRetryFilter
    {
        builder.Services.AddSingleton<IClientConnectionRetryFilter, TConnectionRetryFilter>();
        return builder;
    }

    private sealed class DelegateRetryFilter(Func<Exception, CancellationToken, Task<bool>> filter) : IClientConnectionRetryFilter
    {
        public Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken) => filter(exception, cancellationToken);
    }
}
