using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Serialization;

namespace Orleans.Runtime.Hosting;

/// <summary>Registers what a cluster client consists of.</summary>
internal static class ClientServices
{
    public static IClientBuilder AddTo(IServiceCollection services, IConfiguration configuration)
    {
        if (services.FirstOrDefault(one => one.ServiceType == typeof(IClientBuilder))?.ImplementationInstance is IClientBuilder present)
        {
            return present;
        }

        if (services.Any(one => one.ServiceType == typeof(ISiloBuilder)))
        {
            throw new OrleansConfigurationException("A host has either a silo or a cluster client; a silo brings a client of its own.");
        }

        var builder = new ClientBuilder(services, configuration);
        services.AddSingleton<IClientBuilder>(builder);
        services.AddLogging();
        services.AddOptions();
        services.AddSerialization();
        services.AddSingleton<ClientRuntime>();
        services.AddSingleton<IReferenceConverter>(static provider => provider.GetRequiredService<ClientRuntime>());
        services.AddSingleton<IGrainFactory>(static provider => provider.GetRequiredService<ClientRuntime>());
        services.AddSingleton<IClusterClient>(static provider => provider.GetRequiredService<ClientRuntime>());
        services.AddHostedService<ClientHostedService>();
        return builder;
    }
}

internal sealed class ClientHostedService(ClientRuntime client) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => client.StartAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => client.StopAsync();
}
