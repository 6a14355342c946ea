using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;

namespace Arus.Client;

/// <summary>What an Orleans cluster client can be given for Arus.</summary>
public static class ClientBuilderExtensions
{
    /// <summary>
    /// Receives from the cluster in large blocks, over plain TCP. Without it everything works, and a consumer reads less than half as fast.
    /// TLS and other middleware of <c>ClientConnectionOptions</c> work as they do with Orleans' own transport.
    /// </summary>
    public static IClientBuilder UseArusTransport(this IClientBuilder builder)
    {
        // Orleans has each kind of connection take its factory by a key of its own, which only the registrations tell.
        object?[] keys = [.. builder.Services
            .Where(service => service.IsKeyedService && service.ServiceType == typeof(IConnectionFactory))
            .Select(service => service.ServiceKey)
            .Distinct()];
        foreach (object? key in keys)
            builder.Services.AddKeyedSingleton<IConnectionFactory, TcpTransport>(key);

        return builder;
    }
}
