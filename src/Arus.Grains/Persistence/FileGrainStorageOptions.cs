using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Options of <see cref="FileGrainStorage"/>.</summary>
public sealed class FileGrainStorageOptions
{
    /// <summary>Where the files are; required. Several processes of one machine may share it. Created if it does not exist.</summary>
    public string Directory { get; set; } = "";

    /// <summary>Turns states into bytes; null for System.Text.Json with <see cref="Json"/>.</summary>
    public IGrainStorageSerializer? GrainStorageSerializer { get; set; }

    /// <summary>How states are written as JSON, unless <see cref="GrainStorageSerializer"/> is set.</summary>
    public JsonSerializerOptions Json { get; set; } = new();

    /// <summary>Threads that do the file work; 1 to 64.</summary>
    public int IoThreads { get; set; } = 2;

    /// <summary>Operations that may wait for a thread; more wait before they are queued. 1 or more.</summary>
    public int MaxQueuedOperations { get; set; } = 1024;

    /// <summary>How long a write waits for another process that writes to the same shard, before it fails.</summary>
    public TimeSpan LockTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>The largest state, in serialized bytes.</summary>
    public int MaxStateBytes { get; set; } = 64 * 1024 * 1024;

    internal FileGrainStorageOptions Validated(string name)
    {
        string? fault = this switch
        {
            { Directory: null or "" } => $"{nameof(Directory)} is not set",
            { IoThreads: < 1 or > 64 } => $"{nameof(IoThreads)} is {IoThreads}; it must be 1 to 64",
            { MaxQueuedOperations: < 1 } => $"{nameof(MaxQueuedOperations)} is {MaxQueuedOperations}; it must be 1 or more",
            { MaxStateBytes: < 1 or > 1 << 30 } => $"{nameof(MaxStateBytes)} is {MaxStateBytes}; it must be 1 byte to 1 GiB",
            _ when LockTimeout <= TimeSpan.Zero => $"{nameof(LockTimeout)} is {LockTimeout}; it must be positive",
            _ => null,
        };
        return fault is null ? this : throw new Orleans.Runtime.OrleansConfigurationException($"File grain storage \"{name}\": {fault}.");
    }
}

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
