using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;

namespace Arus.Grains;

/// <summary>Registers <see cref="FileGrainStorage"/>.</summary>
public static class FileGrainStorageExtensions
{
    /// <summary>Adds file-backed grain storage under <paramref name="name"/>. Its directory is checked when the silo starts.</summary>
    public static ISiloBuilder AddFileGrainStorage(this ISiloBuilder builder, string name, Action<FileGrainStorageOptions> configure)
    {
        builder.Services.AddOptions<FileGrainStorageOptions>(name).Configure(configure);
        builder.Services.AddGrainStorage(name, static (services, n) => new FileGrainStorage(
            n, services.GetRequiredService<IOptionsMonitor<FileGrainStorageOptions>>().Get(n), services.GetService<TimeProvider>()));
        return builder;
    }
}
