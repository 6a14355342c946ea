using System.Collections.Concurrent;
using Arus.Grains;
using Arus.Storage;
using Arus.Storage.Rows;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Storage;
using Orleans.TestingHost;
using static Arus.Client.ArusClientServiceCollectionExtensions;
using IArusClient = Arus.Client.IArusClient;

namespace Arus.Cluster.Tests;

/// <summary>
/// Brokers in one process, with real silos between them. Metadata is in files that all share; a broker's log is in files of its own,
/// which it finds again when it comes back.
/// </summary>
public sealed class BrokerCluster : IAsyncDisposable
{
    private const string FileStorage = "files";

    /// <summary>A broker that is killed finds what it wrote: the machine goes on.</summary>
    private static readonly Guid Boot = Guid.NewGuid();

    private readonly string _directory = Directory.CreateTempSubdirectory("arus-cluster-").FullName;
    private readonly (string Key, string Value)[] _config;
    private readonly InProcessTestCluster _cluster;
    private readonly ConcurrentDictionary<(int From, int To), bool> _cuts = new();
    private int? _nextBroker;

    private BrokerCluster(
        int brokers, (string Key, string Value)[] config, InMemoryPartitionStateStore? states = null, TimeSpan? responseTimeout = null)
    {
        (_config, States) = (config, states);
        var builder = new InProcessTestClusterBuilder((short)brokers);
        builder.ConfigureSilo(Configure);
        builder.ConfigureClient(client =>
        {
            client.Configure<ClientMessagingOptions>(options => options.ResponseTimeout = responseTimeout ?? TimeSpan.FromSeconds(15));
            client.Services.AddArusClient();
        });
        _cluster = builder.Build();
    }

    public IGrainFactory Grains => _cluster.Client;

    public IArusClient Client => _cluster.Client.ServiceProvider.GetRequiredService<IArusClient>();

    /// <summary>How often each method of each topic grain was called, by "name.method".</summary>
    public ConcurrentDictionary<string, int> TopicCalls { get; } = new();

    /// <summary>
    /// A broker that answers no more calls of partitions: a silo that is killed in one process with the client would still answer those
    /// that it has, with errors.
    /// </summary>
    public int? MuteBroker { get; set; }

    /// <summary>How many calls of each method of each partition are left without an answer, by "topic/partition.method".</summary>
    public ConcurrentDictionary<string, int> UnansweredCalls { get; } = new();

    /// <summary>Of all brokers: tells of changes of the metadata.</summary>
    internal StorageWatch Storage { get; } = new();

    /// <summary>The database of partition states, where partitions are replicated.</summary>
    public InMemoryPartitionStateStore? States { get; }

    public static async Task<BrokerCluster> StartAsync(int brokers, params (string Key, string Value)[] config)
    {
        var cluster = new BrokerCluster(brokers, config);
        await cluster._cluster.DeployAsync();
        return cluster;
    }

    /// <summary>Brokers that replicate what they keep.</summary>
    public static Task<BrokerCluster> StartReplicatedAsync(int brokers, params (string Key, string Value)[] config) =>
        StartReplicatedAsync(brokers, responseTimeout: null, config);

    /// <param name="responseTimeout">Of the client; null for what is usual in tests.</param>
    public static async Task<BrokerCluster> StartReplicatedAsync(
        int brokers, TimeSpan? responseTimeout, params (string Key, string Value)[] config)
    {
        var cluster = new BrokerCluster(brokers, config, new InMemoryPartitionStateStore(), responseTimeout);
        await cluster._cluster.DeployAsync();
        await EventuallyAsync(
            cluster.Grains.GetGrain<IClusterGrain>(0).DescribeAsync, description => description.Brokers.Length == brokers);

        // Tests say themselves who keeps and leads what.
        await EventuallyAsync(
            async () =>
            {
                await cluster.Grains.GetGrain<IControllerGrain>(0).PauseRebalanceAsync(isPaused: true);
                return true;
            },
            paused => paused);
        return cluster;
    }

    /// <summary>Cuts the replication from one broker to another: calls fail at once, as over a connection that is refused.</summary>
    public void Cut(int from, int to) => _cuts[(from, to)] = true;

    public void Mend() => _cuts.Clear();

    public ITopicGrain Topic(string name) => Grains.GetGrain<ITopicGrain>(name);

    public IPartitionGrain Partition(string topic, int partition) =>
        Grains.GetGrain<IPartitionGrain>(PartitionKey.Format(topic, partition));

    public Task<TopicDescription> CreateTopicAsync(string name, int partitions = 1, params (string Key, string Value)[] configs) =>
        Topic(name).CreateAsync(new TopicSpec(partitions, -1, null, configs.ToDictionary(pair => pair.Key, pair => pair.Value), false));

    /// <summary>A topic with a partition on each of the brokers, in their order.</summary>
    public Task<TopicDescription> CreateTopicOnAsync(string name, params int[] brokers) =>
        Topic(name).CreateAsync(new TopicSpec(-1, -1, [.. brokers.Select(broker => new[] { broker })], [], false));

    public async Task<string[]> ListTopicsAsync()
    {
        TopicListing[][] shards = await Task.WhenAll(
            Enumerable.Range(0, TopicCatalog.Shards).Select(shard => Grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync()));
        return [.. shards.SelectMany(shard => shard).Select(topic => topic.Name).Order(StringComparer.Ordinal)];
    }

    /// <summary>The grains as a live silo reaches them; null if that has just stopped.</summary>
    public IGrainFactory? SiloGrains(int broker)
    {
        try
        {
            return _cluster.Silos.SingleOrDefault(silo => silo.Name == BrokerNames.SiloName(broker))?.ServiceProvider
                .GetRequiredService<IGrainFactory>();
        }
        catch (Exception e) when (e is ObjectDisposedException or InvalidOperationException)
        {
            return null;
        }
    }

    public IServiceProvider Services(int broker) => Silo(broker).ServiceProvider;

    /// <summary>Kills a silo; nobody is told. Its files are let go of, as those of a dead process are.</summary>
    public async Task KillAsync(int broker)
    {
        var logs = Services(broker).GetRequiredService<IPartitionLogProvider>();
        await _cluster.KillSiloAsync(Silo(broker));
        await logs.DisposeAsync();
    }

    public string LogDirectory(int broker) => Path.Combine(_directory, $"broker-{broker}");

    public Task StopAsync(int broker) => _cluster.StopSiloAsync(Silo(broker));

    /// <summary>Starts a broker again, with the records that it had.</summary>
    public async Task RestartAsync(int broker)
    {
        _nextBroker = broker;
        await _cluster.StartAdditionalSiloAsync();
    }

    /// <summary>Asks until the answer is as wanted.</summary>
    public static Task<T> EventuallyAsync<T>(Func<Task<T>> ask, Func<T, bool> wanted) => Eventually.AsksAsync(
        ask, wanted, e => e is OrleansException or TimeoutException or ArusException, TimeSpan.FromSeconds(30));

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    private InProcessSiloHandle Silo(int broker) => _cluster.Silos.Single(silo => silo.Name == BrokerNames.SiloName(broker));

    private void Configure(InProcessTestSiloSpecificOptions options, ISiloBuilder silo)
    {
        int broker = _nextBroker ?? int.Parse(options.SiloName[(options.SiloName.LastIndexOf('_') + 1)..]) + 1;
        _nextBroker = null;
        options.SiloName = BrokerNames.SiloName(broker);
        BrokerConfig config = BrokerConfig.Of([(BrokerConfigs.BrokerId, $"{broker}"), .. _config]);
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = TimeSpan.FromMilliseconds(500);
            membership.NumMissedProbesLimit = 2;
        });
        silo.Configure<SiloMessagingOptions>(messaging => messaging.ResponseTimeout = TimeSpan.FromSeconds(15));
        silo.AddFileGrainStorage(FileStorage, storage => storage.Directory = Path.Combine(_directory, "metadata"));
        silo.Services.AddKeyedSingleton<IGrainStorage>(
            StorageNames.Metadata,
            (services, _) => new WatchedStorage(services.GetRequiredKeyedService<IGrainStorage>(FileStorage), Storage));
        bool usesRows = config.GetString(BrokerConfigs.LogType) == BrokerConfigs.LogTypeStorage;
        silo.Services.AddSingleton<IPartitionLogProvider>(services => usesRows
            ? new RowLogProvider(services.GetRequiredKeyedService<IGrainStorage>(StorageNames.Metadata), new RowLogOptions())
            : new LogProvider(new LogProviderOptions
            {
                Directory = LogDirectory(broker), Flush = FlushPolicy.Os, IoThreads = 1, BootId = Boot, NewLogId = Guid.NewGuid,
            }));
        if (States is not null)
            silo.Services.AddSingleton<IPartitionStateStore>(States);

        // A fake of the other tests, which is a class of grain to Orleans.
        silo.Services.PostConfigure<GrainTypeOptions>(types => types.Classes.Remove(typeof(InMemoryPartition)));
        silo.AddArusBroker(config, LogDirectory(broker));
        if (States is not null)
        {
            silo.Services.AddSingleton<IBrokerServices>(services => new CutServices(
                ActivatorUtilities.CreateInstance<BrokerServices>(services), services.GetRequiredService<BrokerMembership>(),
                to => _cuts.ContainsKey((broker, to))));
        }

        silo.AddIncomingGrainCallFilter(context =>
        {
            if (broker == MuteBroker && context.InterfaceMethod.DeclaringType == typeof(IPartitionGrain))
            {
                UnansweredCalls.AddOrUpdate($"{context.TargetId.Key}.{context.MethodName}", 1, (_, count) => count + 1);
                return new TaskCompletionSource().Task;
            }

            if (context.InterfaceMethod.DeclaringType == typeof(ITopicGrain))
                TopicCalls.AddOrUpdate($"{context.TargetId.Key}.{context.MethodName}", 1, (_, count) => count + 1);

            return context.Invoke();
        });
        var registration = new BrokerRegistration(
            broker, BrokerNames.SiloName(broker), [new BrokerEndpoint("PLAINTEXT", "127.0.0.1", 9091 + broker)], null);
        silo.AddStartupTask((services, _) =>
            services.GetRequiredService<IGrainFactory>().GetGrain<IClusterGrain>(0).RegisterBrokerAsync(registration));
    }
}

/// <summary>Lets a test act in the moment after a grain's state was written, before the grain goes on, or before it is cleared.</summary>
internal sealed class StorageWatch
{
    /// <summary>Given the storage itself, the state's name and its grain.</summary>
    public Func<IGrainStorage, string, GrainId, Task> AfterWrite { get; set; } = (_, _, _) => Task.CompletedTask;

    /// <summary>Whether a grain's state cannot be written, as on a full disk.</summary>
    public Func<GrainId, bool> FailsToWrite { get; set; } = _ => false;

    /// <summary>Given the same.</summary>
    public Func<IGrainStorage, string, GrainId, Task> BeforeClear { get; set; } = (_, _, _) => Task.CompletedTask;
}

internal sealed class WatchedStorage(IGrainStorage storage, StorageWatch watch) : IGrainStorage
{
    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        storage.ReadStateAsync(stateName, grainId, grainState);

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (watch.FailsToWrite(grainId))
            throw new IOException("No space left on device");

        await storage.WriteStateAsync(stateName, grainId, grainState);
        await watch.AfterWrite(storage, stateName, grainId);
    }

    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        await watch.BeforeClear(storage, stateName, grainId);
        await storage.ClearStateAsync(stateName, grainId, grainState);
    }
}

/// <summary>Fails calls to brokers that a test has cut off.</summary>
internal sealed class CutServices(IBrokerServices services, BrokerMembership membership, Func<int, bool> isCut) : IBrokerServices
{
    public IBrokerService Of(SiloAddress silo) => membership.Lives.Keys.Any(
        broker => membership.TryGetSilo(broker, out SiloAddress address) && address.Equals(silo) && isCut(broker))
        ? throw new IOException("cut off, says the test")
        : services.Of(silo);
}
