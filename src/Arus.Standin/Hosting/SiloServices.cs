using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Orleans.Serialization;

namespace Orleans.Runtime.Hosting;

/// <summary>Registers what a silo consists of.</summary>
internal static class SiloServices
{
    public static ISiloBuilder AddTo(IServiceCollection services, IConfiguration configuration)
    {
        if (services.FirstOrDefault(one => one.ServiceType == typeof(ISiloBuilder))?.ImplementationInstance is ISiloBuilder present)
        {
            return present;
        }

        if (services.Any(one => one.ServiceType == typeof(IClientBuilder)))
        {
            throw new OrleansConfigurationException("A host has either a silo or a cluster client; a silo brings a client of its own.");
        }

        var builder = new SiloBuilder(services, configuration);
        services.AddSingleton<ISiloBuilder>(builder);
        services.AddLogging();
        services.AddOptions();
        services.AddSerialization();
        services.AddPersistence();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<SiloRuntime>();
        services.AddSingleton<ILocalSiloDetails>(static provider => provider.GetRequiredService<SiloRuntime>());
        services.AddSingleton<IReferenceConverter>(static provider => provider.GetRequiredService<SiloRuntime>());
        services.AddSingleton<IGrainFactory>(static provider => provider.GetRequiredService<SiloRuntime>());
        services.AddSingleton<IClusterClient>(static provider => provider.GetRequiredService<SiloRuntime>());
        services.AddSingleton<IClusterMembershipService>(static provider => provider.GetRequiredService<SiloRuntime>().Membership);
        services.AddSingleton<ISiloStatusOracle>(static provider => provider.GetRequiredService<SiloRuntime>().Membership);
        services.AddSingleton<IGrainContextAccessor, GrainContextAccessor>();
        services.AddHostedService<SiloHostedService>();
        return builder;
    }
}

internal sealed class SiloHostedService(SiloRuntime silo) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => silo.StartAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => silo.StopAsync(cancellationToken);
}
