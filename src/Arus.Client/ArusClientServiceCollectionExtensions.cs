using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans;

namespace Arus.Client;

/// <summary>Registers the client next to <c>UseOrleansClient</c>, or inside a silo.</summary>
public static class ArusClientServiceCollectionExtensions
{
    /// <summary>Adds <see cref="IArusAdmin"/> and what producers and consumers are made from.</summary>
    public static IServiceCollection AddArusClient(this IServiceCollection services, Action<ArusClientOptions>? configure = null)
    {
        services.AddOptions<ArusClientOptions>();
        if (configure is not null)
        {
            services.Configure(configure);
        }

        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(provider => new GrainRetry(
            provider.GetRequiredService<IOptions<ArusClientOptions>>().Value, provider.GetRequiredService<TimeProvider>()));
        services.TryAddSingleton<IArusAdmin>(provider => new ArusAdmin(
            provider.GetRequiredService<IGrainFactory>(), provider.GetRequiredService<GrainRetry>()));
        return services;
    }
}
