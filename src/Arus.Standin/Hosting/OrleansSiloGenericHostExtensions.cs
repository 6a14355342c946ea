using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime.Hosting;

namespace Microsoft.Extensions.Hosting;

/// <summary>Puts a silo into a host: it starts and stops with it.</summary>
public static class OrleansSiloGenericHostExtensions
{
    public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<ISiloBuilder> configureDelegate) =>
        hostBuilder.UseOrleans((_, builder) => configureDelegate(builder));

    public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<HostBuilderContext, ISiloBuilder> configureDelegate) =>
        hostBuilder.ConfigureServices((context, services) =>
            configureDelegate(context, SiloServices.AddTo(services, context.Configuration)));

    public static IHostApplicationBuilder UseOrleans(this IHostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
    {
        configureDelegate(SiloServices.AddTo(hostAppBuilder.Services, hostAppBuilder.Configuration));
        return hostAppBuilder;
    }

    public static HostApplicationBuilder UseOrleans(this HostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
    {
        configureDelegate(SiloServices.AddTo(hostAppBuilder.Services, hostAppBuilder.Configuration));
        return hostAppBuilder;
    }

    public static IServiceCollection AddOrleans(this IServiceCollection services, Action<ISiloBuilder> configureDelegate)
    {
        configureDelegate(SiloServices.AddTo(services, new ConfigurationBuilder().Build()));
        return services;
    }
}
