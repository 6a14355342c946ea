using Arus.Hosting.Database;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using Orleans.Serialization;
using Orleans.Serialization.Serializers;
using Orleans.Storage;

namespace Arus.Hosting.Tests;

/// <summary>A database with the schema, and the provider over it.</summary>
internal sealed class GrainDatabase : IAsyncDisposable
{
    private readonly ServiceProvider _services;

    private GrainDatabase(NpgsqlDataSource source, ServiceProvider services, IGrainStorage storage) =>
        (Source, _services, Storage) = (source, services, storage);

    public NpgsqlDataSource Source { get; }

    public IGrainStorage Storage { get; }

    /// <param name="server">Null for the one that all tests of the process share.</param>
    public static async Task<GrainDatabase> CreateAsync(PostgresServer? server = null)
    {
        server ??= await PostgresServer.SharedAsync();
        NpgsqlDataSource source = DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        ServiceProvider services = new ServiceCollection().AddSerializer().BuildServiceProvider();
        var options = new AdoNetGrainStorageOptions();
        ClusterDatabase.Configure(options, source);
        var provider = new AdoNetGrainStorage(
            services.GetRequiredService<IActivatorProvider>(), NullLogger<AdoNetGrainStorage>.Instance,
            Options.Create(options), Options.Create(new ClusterOptions { ServiceId = "arus" }), "arus");
        var lifecycle = new Lifecycle();
        provider.Participate(lifecycle);
        await lifecycle.Observer!.OnStart(TestTimeout.Token);
        return new GrainDatabase(source, services, new DatabaseGrainStorage(provider));
    }

    public async Task<object?> CountAsync()
    {
        await using NpgsqlCommand count = Source.CreateCommand("SELECT count(*) FROM arus_grain_state");
        return await count.ExecuteScalarAsync(TestTimeout.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await Source.DisposeAsync();
        await _services.DisposeAsync();
    }

    private sealed class Lifecycle : ISiloLifecycle, IDisposable
    {
        public ILifecycleObserver? Observer { get; private set; }

        public int HighestCompletedStage => 0;

        public int LowestStoppedStage => 0;

        public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
        {
            Observer = observer;
            return this;
        }

        public void Dispose()
        {
        }
    }
}
