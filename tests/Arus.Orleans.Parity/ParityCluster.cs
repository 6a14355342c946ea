using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Storage;
using Orleans.TestingHost;

namespace Arus.Orleans.Parity;

/// <summary>Two silos and a client, shared by the tests that leave them alive.</summary>
public sealed class ParityCluster : IAsyncLifetime
{
    public InProcessTestCluster Cluster { get; } = Build(silos: 2);

    public IGrainFactory Grains => Cluster.Client;

    public static InProcessTestCluster Build(short silos)
    {
        var builder = new InProcessTestClusterBuilder(silos);
        builder.ConfigureSilo((_, silo) =>
        {
            silo.Configure<ClusterMembershipOptions>(options =>
            {
                options.ProbeTimeout = TimeSpan.FromSeconds(1);
                options.NumMissedProbesLimit = 2;
                options.TableRefreshTimeout = TimeSpan.FromSeconds(2);
            });
            silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(10));
            silo.Configure<GrainCollectionOptions>(options =>
            {
                options.CollectionQuantum = TimeSpan.FromMilliseconds(500);
                options.ClassSpecificCollectionAge[typeof(IdleGrain).FullName!] = TimeSpan.FromSeconds(1);
            });
            silo.AddMemoryGrainStorage("memory");
            silo.Services.AddGrainStorage(SharedStorage.Name, (_, _) => new SharedStorage());
            silo.AddPlacementDirector<OnNamedSilo, OnNamedSiloDirector>();
        });
        builder.ConfigureClient(client => client.Configure<ClientMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(10)));
        return builder.Build();
    }

    public Task InitializeAsync() => Cluster.DeployAsync();

    public async Task DisposeAsync() => await Cluster.DisposeAsync();
}

[CollectionDefinition(Name)]
public sealed class ParityCollection : ICollectionFixture<ParityCluster>
{
    public const string Name = "A cluster of two silos";
}

/// <summary>A provider of one's own, registered as a user would: states outlive the silos, and a test can write behind a grain's back.</summary>
public sealed class SharedStorage : IGrainStorage
{
    public const string Name = "shared";
    private static readonly ConcurrentDictionary<string, Record> _records = new();
    private static readonly ConcurrentDictionary<string, Exception> _broken = new();

    /// <summary>Makes every write of this state fail.</summary>
    public static void Break(string stateName, GrainId grainId, Exception failure) => _broken[Key(stateName, grainId)] = failure;

    public static void Put<T>(string stateName, GrainId grainId, T state) =>
        _records[Key(stateName, grainId)] = new Record(Guid.NewGuid().ToString("N"), JsonSerializer.Serialize(state));

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        bool found = _records.TryGetValue(Key(stateName, grainId), out Record? record);
        grainState.State = found ? JsonSerializer.Deserialize<T>(record!.Json)! : Activator.CreateInstance<T>();
        grainState.ETag = record?.ETag;
        grainState.RecordExists = found;
        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (_broken.TryGetValue(Key(stateName, grainId), out Exception? failure))
        {
            throw failure;
        }

        lock (_records)
        {
            Check(stateName, grainId, grainState);
            Put(stateName, grainId, grainState.State);
            grainState.ETag = _records[Key(stateName, grainId)].ETag;
            grainState.RecordExists = true;
            return Task.CompletedTask;
        }
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        lock (_records)
        {
            Check(stateName, grainId, grainState);
            _records.TryRemove(Key(stateName, grainId), out _);
            grainState.State = Activator.CreateInstance<T>();
            grainState.ETag = null;
            grainState.RecordExists = false;
            return Task.CompletedTask;
        }
    }

    private static string Key(string stateName, GrainId grainId) => $"{stateName} {grainId}";

    private static void Check<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        string? stored = _records.GetValueOrDefault(Key(stateName, grainId))?.ETag;
        if (stored != grainState.ETag)
        {
            throw new InconsistentStateException($"The state of {grainId} is not what it was.", stored, grainState.ETag);
        }
    }

    private sealed record Record(string ETag, string Json);
}

/// <summary>Signals between tests and the grains of their process, by name. Nothing waits by the clock, but for a deadline.</summary>
internal static class Signals
{
    private static readonly ConcurrentDictionary<string, TaskCompletionSource> _signals = new();

    public static void Set(string name) => Of(name).TrySetResult();

    public static Task WaitAsync(string name) => Of(name).Task.WaitAsync(TimeSpan.FromSeconds(30));

    private static TaskCompletionSource Of(string name) =>
        _signals.GetOrAdd(name, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
}
