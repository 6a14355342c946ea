using System.Globalization;
using Arus.Client;
using Arus.Grains;
using Arus.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Storage;
using Orleans.TestingHost;

namespace Arus.Cluster.Tests.Groups;

/// <summary>Two brokers over one storage.</summary>
public sealed class GroupCluster : IAsyncLifetime
{
    private readonly InProcessTestCluster _cluster;

    public GroupCluster()
    {
        var builder = new InProcessTestClusterBuilder(2);
        builder.ConfigureSilo((options, silo) =>
        {
            int id = int.Parse(options.SiloName.AsSpan(options.SiloName.LastIndexOf('_') + 1), CultureInfo.InvariantCulture) + 1;
            silo.AddArusBroker(BrokerConfig.Of(
                (BrokerConfigs.BrokerId, $"{id}"), (BrokerConfigs.GroupInitialRebalanceDelayMs, "0"),
                (BrokerConfigs.TransactionTimeoutCheckIntervalMs, "100")));
            silo.Services.AddKeyedSingleton<IGrainStorage>(StorageNames.Metadata, Storage);
            silo.Services.AddSingleton<IPartitionLogProvider>(_ => LogProvider.InMemory());
        });
        _cluster = builder.Build();
    }

    internal SharedGrainStorage Storage { get; } = new();

    /// <summary>Of topic t, which has ten partitions.</summary>
    public Guid TopicId { get; private set; }

    public async Task InitializeAsync()
    {
        await _cluster.DeployAsync();
        for (int id = 1; id <= 2; id++)
            await _cluster.Client.GetGrain<IClusterGrain>(0).RegisterBrokerAsync(new BrokerRegistration(id, $"broker-{id}", [], null));

        TopicId = (await CreateTopicAsync("t")).Id;
    }

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    public Task<Grains.TopicDescription> CreateTopicAsync(string name) => Topic(name).CreateAsync(new TopicSpec(10, -1, null, [], false));

    public IGrainFactory Grains => _cluster.Client;

    public ITopicGrain Topic(string name) => _cluster.Client.GetGrain<ITopicGrain>(name);

    public IGroupGrain Group(string id) => _cluster.Client.GetGroup(id);

    public IGroupCatalogGrain CatalogOf(string id) => _cluster.Client.GetGrain<IGroupCatalogGrain>(TopicCatalog.ShardOf(id));

    public Task KillAsync(int brokerId) =>
        _cluster.KillSiloAsync(_cluster.Silos.Single(silo => silo.ServiceProvider.GetRequiredService<LocalBroker>().BrokerId == brokerId));

    /// <summary>Calls again while the coordinator moves, as every client does.</summary>
    public static async Task<T> RetryAsync<T>(Func<Task<T>> call, Func<T, ErrorCode> errorOf)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            limit.Token.ThrowIfCancellationRequested();
            try
            {
                T result = await call();
                if (errorOf(result) != ErrorCode.NotCoordinator)
                    return result;
            }
            catch (Exception failure) when (failure
                is TimeoutException or OrleansException or ArusException { Code: ErrorCode.NotCoordinator })
            {
                // Moving.
            }
        }
    }

    internal GroupMembership NewMembership(string groupId, string name, IConsumerRebalanceListener handler) => new(
        Group(groupId),
        new ConsumerOptions
        {
            GroupId = groupId, ClientId = name, HeartbeatInterval = TimeSpan.FromMilliseconds(100),
            RetryBackoff = TimeSpan.FromMilliseconds(20), PartitionAssignmentStrategy = [PartitionAssignors.CooperativeSticky],
        },
        handler, (topics, _) => new(topics.ToDictionary(topic => topic, _ => 6)), new SiloLosses(TimeProvider.System),
        TimeProvider.System, NullLogger.Instance);
}
