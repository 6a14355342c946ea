using System.Collections.Concurrent;
using Arus.Grains;
using Arus.Protocol;
using Orleans.Core;
using Orleans.Runtime;

namespace Arus.Testing;

/// <summary>
/// Grains in memory behind a grain factory: topics, their catalog, partitions with real logs, groups and producer ids, in a cluster of two
/// brokers. Thread-safe but for its settings.
/// </summary>
public sealed class InMemoryCluster
{
    /// <summary>Of every partition.</summary>
    public const int LeaderEpoch = 5;

    private readonly ConcurrentDictionary<string, InMemoryPartition> _partitions = new();
    private readonly ConcurrentDictionary<string, InMemoryTopic> _topics = new();
    private readonly ConcurrentDictionary<string, InMemoryGroup> _groups = new();
    private readonly ConcurrentDictionary<string, InMemoryTransaction> _transactions = new();
    private readonly TimeProvider? _logTime;
    private readonly TimeProvider? _groupTime;
    private readonly ConfigGrain _configs;

    /// <param name="logTime">The clock of the logs; null for one in each that stands still.</param>
    /// <param name="groupTime">The clock of the groups' coordinators; null for one in each that stands still.</param>
    /// <param name="config">Of broker 1, which serves.</param>
    public InMemoryCluster(TimeProvider? logTime = null, TimeProvider? groupTime = null, params (string Key, string Value)[] config)
    {
        (_logTime, _groupTime) = (logTime, groupTime);
        LocalBroker = new LocalBroker(BrokerConfig.Of([("broker.id", "1"), .. config]));
        _configs = new ConfigGrain(new FakeState<ConfigState>(), LocalBroker);
        Grains = Fake.Of<IGrainFactory>((method, arguments) => Get(method.GetGenericArguments()[0], arguments[0]!));
        Broker = new BrokerGrain(LocalBroker, new LoggerLevels(), Grains);
    }

    public IGrainFactory Grains { get; }

    public LocalBroker LocalBroker { get; }

    /// <summary>Broker 1, as what it tells and changes of configuration.</summary>
    public IBrokerGrain Broker { get; }

    public ClusterDescription Description { get; set; } = new(
        "test-cluster", 1,
        [
            new BrokerRegistration(
                1, "broker-1",
                [new BrokerEndpoint("PLAINTEXT", "one.example", 9092), new BrokerEndpoint("OTHER", "one.inner", 9192)], null),
            new BrokerRegistration(2, "broker-2", [new BrokerEndpoint("PLAINTEXT", "two.example", 9092)], null),
        ]);

    public string[] Gateways { get; set; } = [];

    public int ProducerBlocks { get; private set; }

    public Exception? ProducerIdFailure { get; set; }

    /// <summary>The next registrations of brokers fail so, one each.</summary>
    public ConcurrentQueue<Exception> RegistrationFailures { get; } = new();

    public Exception? CatalogFailure { get; set; }

    /// <summary>The shards of the catalog to which that happens; null for all.</summary>
    public int? FailingShard { get; set; }

    public InMemoryPartition Partition(string topic, int partition) => Partition(PartitionKey.Format(topic, partition));

    public InMemoryTopic Topic(string name) => _topics.GetOrAdd(name, _ => new InMemoryTopic(name));

    public InMemoryGroup Group(string id) => _groups.GetOrAdd(id, _ => new InMemoryGroup(_groupTime ?? new ManualTimeProvider()));

    public InMemoryTransaction Transaction(string id) => _transactions.GetOrAdd(id, _ => new InMemoryTransaction(
        id, () => Grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(1), _groupTime ?? new ManualTimeProvider()));

    public TopicDescription AddTopic(string name, int partitions, bool isInternal = false) => Topic(name).Create(partitions, isInternal);

    private IEnumerable<TopicDescription> Topics => _topics.Values.Select(topic => topic.Description).OfType<TopicDescription>();

    private InMemoryPartition Partition(string key) => _partitions.GetOrAdd(key, _ => new InMemoryPartition(_logTime, LeaderEpoch));

    private object Get(Type type, object key) => (type.Name, key) switch
    {
        (nameof(IPartitionGrain), string id) => Partition(id),
        (nameof(ITopicGrain), string name) => Topic(name),
        (nameof(IGroupGrain), string id) => Group(GroupKey.Parse(id)),
        (nameof(ITransactionGrain), string id) => Transaction(GroupKey.Parse(id)),
        (nameof(ITransactionCatalogGrain), long shard) => new FakeTransactionCatalog(this, (int)shard),
        (nameof(IBrokerGrain), _) => Broker,
        (nameof(IConfigGrain), _) => _configs,
        (nameof(IClusterGrain), _) => new FakeClusterGrain(this),
        (nameof(IControllerGrain), _) => new FakeController(Grains),
        (nameof(IProducerIdGrain), _) => new FakeProducerIds(this),
        (nameof(ITopicCatalogGrain), long shard) => new FakeCatalog(this, (int)shard),
        (nameof(IGroupCatalogGrain), long shard) => new FakeGroupCatalog(this, (int)shard),
        _ => throw new NotSupportedException($"{type.Name} {key}"),
    };

    private sealed class FakeClusterGrain(InMemoryCluster cluster) : IClusterGrain
    {
        public Task<ClusterDescription> RegisterBrokerAsync(BrokerRegistration registration)
        {
            if (cluster.RegistrationFailures.TryDequeue(out Exception? failure))
                return Task.FromException<ClusterDescription>(failure);

            BrokerRegistration[] others = Array.FindAll(cluster.Description.Brokers, broker => broker.BrokerId != registration.BrokerId);
            return Task.FromResult(cluster.Description = cluster.Description with { Brokers = [.. others, registration] });
        }

        public Task UnregisterBrokerAsync(int brokerId) => Task.FromException(new ArusException(
            brokerId == 7 ? ErrorCode.BrokerIdNotRegistered : ErrorCode.InvalidRequest, $"Not broker {brokerId}."));

        public Task<ClusterDescription> DescribeAsync() => Task.FromResult(cluster.Description);

        public Task<string[]> GetGatewaysAsync() => Task.FromResult(cluster.Gateways);
    }

    /// <summary>As a single node answers.</summary>
    private sealed class FakeController(IGrainFactory grains) : IControllerGrain
    {
        private readonly PartitionLookup _partitions = new(grains);

        public Task<ElectLeadersResponse> ElectLeadersAsync(ElectLeadersRequest request) =>
            new LeaderElections(_partitions, grains, TimeProvider.System).ElectAsync(request);

        public Task<AlterPartitionReassignmentsResponse> AlterPartitionReassignmentsAsync(AlterPartitionReassignmentsRequest request) =>
            new Reassignments(_partitions, grains).AlterAsync(request);

        public Task<ListPartitionReassignmentsResponse> ListPartitionReassignmentsAsync(ListPartitionReassignmentsRequest request) =>
            new Reassignments(_partitions, grains).ListAsync(request);

        public Task<ElectLeadersResponse> RestoreMetadataAsync(bool isForced) => Task.FromResult(new ElectLeadersResponse());

        public Task<ClusterBalance> DescribeBalanceAsync() => throw new NotSupportedException();

        public Task DrainAsync(int brokerId, bool isUndone) => throw new NotSupportedException();

        public Task<int[]> GetDrainingAsync() => Task.FromResult<int[]>([]);

        public Task PauseRebalanceAsync(bool isPaused) => throw new NotSupportedException();

        public Task<bool> BalanceAsync() => Task.FromResult(false);
    }

    private sealed class FakeProducerIds(InMemoryCluster cluster) : IProducerIdGrain
    {
        public Task<long> AllocateBlockAsync(int count) => cluster.ProducerIdFailure is { } failure
            ? Task.FromException<long>(failure)
            : Task.FromResult(1_000_000L * ++cluster.ProducerBlocks);
    }

    private sealed class FakeCatalog(InMemoryCluster cluster, int shard) : ITopicCatalogGrain
    {
        public Task PrepareAsync(TopicListing topic) => Task.CompletedTask;

        public Task AddAsync(TopicListing topic) => Task.CompletedTask;

        public Task RemoveAsync(string name, Guid id) => Task.CompletedTask;

        public Task<TopicListing[]> ListAsync() => cluster.CatalogFailure is { } failure && (cluster.FailingShard ?? shard) == shard
            ? throw failure
            : Task.FromResult(cluster.Topics
                .Where(topic => TopicCatalog.ShardOf(topic.Name) == shard)
                .Select(topic => new TopicListing(topic.Name, topic.Id, topic.Partitions.Length, topic.IsInternal)).ToArray());

        public Task<CollidingTopic?> FindCollisionAsync(string name) => Task.FromResult<CollidingTopic?>(null);

        public Task<string?> FindNameAsync(Guid id) => Task.FromResult(cluster.Topics.FirstOrDefault(topic => topic.Id == id)?.Name);
    }

    private sealed class FakeTransactionCatalog(InMemoryCluster cluster, int shard) : ITransactionCatalogGrain
    {
        public Task SetAsync(string transactionalId, bool isOpen) => Task.CompletedTask;

        public Task RemoveAsync(string transactionalId) => Task.CompletedTask;

        public Task<string[]> ListAsync(bool onlyOpen) =>
            Task.FromResult(cluster._transactions.Keys.Where(id => TopicCatalog.ShardOf(id) == shard).ToArray());
    }

    private sealed class FakeGroupCatalog(InMemoryCluster cluster, int shard) : IGroupCatalogGrain
    {
        public Task AddAsync(string groupId) => Task.CompletedTask;

        public Task RemoveAsync(string groupId) => Task.CompletedTask;

        public Task<string[]> ListAsync() => Task.FromResult(cluster._groups.Keys.Where(id => TopicCatalog.ShardOf(id) == shard).ToArray());
    }
}

/// <summary>State that is written in memory.</summary>
internal sealed class FakeState<T> : IPersistentState<T>
    where T : new()
{
    public T State { get; set; } = new();

    public string? Etag { get; private set; }

    string? IStorage.Etag => Etag;

    public bool RecordExists => Etag is not null;

    public Task ClearStateAsync()
    {
        (State, Etag) = (new T(), null);
        return Task.CompletedTask;
    }

    public Task ReadStateAsync() => Task.CompletedTask;

    public Task WriteStateAsync()
    {
        Etag = Guid.NewGuid().ToString();
        return Task.CompletedTask;
    }
}
