using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Runtime;

namespace Arus.Client;

/// <summary>Registers the client next to <c>UseOrleansClient</c>, or inside a silo.</summary>
public static class ArusClientServiceCollectionExtensions
{
    /// <summary>Adds <see cref="IArusClient"/>, which makes producers and consumers, and <see cref="IArusAdmin"/>.</summary>
    public static IServiceCollection AddArusClient(this IServiceCollection services, Action<ArusClientOptions>? configure = null)
    {
        services.AddOptions<ArusClientOptions>();
        if (configure is not null)
            services.Configure(configure);

        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(SiloLosses.Create);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IClusterConnectionStatusObserver, SiloLosses>(
            provider => provider.GetRequiredService<SiloLosses>()));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, SiloWatch>(CreateWatch));
        services.TryAddSingleton(provider => new GrainRetry(
            provider.GetRequiredService<IOptions<ArusClientOptions>>().Value, provider.GetRequiredService<SiloLosses>(),
            provider.GetRequiredService<TimeProvider>()));
        services.TryAddSingleton<IArusAdmin>(provider => new ArusAdmin(
            provider.GetRequiredService<IGrainFactory>(), provider.GetRequiredService<GrainRetry>()));
        services.TryAddSingleton<IArusClient>(CreateClient);
        return services;
    }

    private static ArusClient CreateClient(IServiceProvider provider)
    {
        IGrainFactory grains = provider.GetRequiredService<IGrainFactory>();
        TimeProvider time = provider.GetRequiredService<TimeProvider>();
        SiloLosses losses = provider.GetRequiredService<SiloLosses>();
        ILoggerFactory loggers = LoggersOf(provider);
        return new ArusClient(
            grains, losses, provider.GetRequiredService<GrainRetry>(), provider.GetRequiredService<IArusAdmin>(),
            provider.GetRequiredService<IOptions<ArusClientOptions>>().Value, time, loggers,
            (options, handler, topics) => new GroupMembership(
                grains.GetGroup(options.GroupId!), options, handler, topics, losses, time, loggers.CreateLogger("Arus.Client.Group")));
    }

    private static SiloWatch CreateWatch(IServiceProvider provider) => new(
        provider.GetRequiredService<IGrainFactory>(), provider.GetRequiredService<SiloLosses>(),
        provider.GetRequiredService<IOptions<ArusClientOptions>>().Value, provider.GetRequiredService<TimeProvider>(),
        LoggersOf(provider).CreateLogger("Arus.Client.Silos"), provider.GetService<ILocalSiloDetails>());

    private static ILoggerFactory LoggersOf(IServiceProvider provider) =>
        provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance;
}
