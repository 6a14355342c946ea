using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Orleans.Serialization;

internal static class SerializationServices
{
    /// <summary>What a silo or a client needs to send values. The runtime calls it, and registers its <see cref="IReferenceConverter"/>.</summary>
    public static IServiceCollection AddSerialization(this IServiceCollection services)
    {
        services.TryAddSingleton(static provider => new CodecProvider(provider.GetService<IReferenceConverter>));
        services.TryAddSingleton(static provider => new Serializer(provider.GetRequiredService<CodecProvider>()));
        services.TryAddSingleton(static provider => new DeepCopier(provider.GetRequiredService<CodecProvider>()));
        return services;
    }
}
