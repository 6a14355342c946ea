using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime.Hosting;

namespace Microsoft.Extensions.Hosting;

/// <summary>Puts a cluster client into a host: it connects when the host starts.</summary>
public static class OrleansClientGenericHostExtensions
{
    public static IHostBuilder UseOrleansClient(this IHostBuilder hostBuilder, Action<IClientBuilder> configureDelegate) =>
        hostBuilder.UseOrleansClient((_, builder) => configureDelegate(builder));

    public static IHostBuilder UseOrleansClient(this IHostBuilder hostBuilder, Action<HostBuilderContext, IClientBuilder> configureDelegate) =>
        hostBuilder.ConfigureServices((context, services) =>
            configureDelegate(context, ClientServices.AddTo(services, context.Configuration)));

    public static IHostApplicationBuilder UseOrleansClient(this IHostApplicationBuilder hostAppBuilder, Action<IClientBuilder> configureDelegate)
    {
        configureDelegate(ClientServices.AddTo(hostAppBuilder.Services, hostAppBuilder.Configuration));
        return hostAppBuilder;
    }

    public static HostApplicationBuilder UseOrleansClient(this HostApplicationBuilder hostAppBuilder, Action<IClientBuilder> configureDelegate)
    {
        configureDelegate(ClientServices.AddTo(hostAppBuilder.Services, hostAppBuilder.Configuration));
        return hostAppBuilder;
    }

    public static IServiceCollection AddOrleansClient(this IServiceCollection services, Action<IClientBuilder> configureDelegate)
    {
        configureDelegate(ClientServices.AddTo(services, new ConfigurationBuilder().Build()));
        return services;
    }

    public static IServiceCollection AddOrleansClient(
        this IServiceCollection services, IConfiguration? configuration, Action<IClientBuilder> configureDelegate)
    {
        configureDelegate(ClientServices.AddTo(services, configuration ?? new ConfigurationBuilder().Build()));
        return services;
    }
}
