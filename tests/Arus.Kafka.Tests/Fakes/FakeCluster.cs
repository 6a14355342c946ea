using System.Collections.Concurrent;
using System.Reflection;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>Grains in memory behind a grain factory: what a Kafka listener sees of a cluster with two brokers.</summary>
internal sealed class FakeCluster
{
    private readonly ConcurrentDictionary<string, InMemoryPartition> _partitions = new();
    private readonly ConcurrentDictionary<string, FakeTopic> _topics = new();
    private readonly ConcurrentDictionary<string, FakeGroup> _groups = new();
    private readonly ConcurrentDictionary<int, FakeCatalog> _catalogs = new();

    public FakeCluster()
    {
        Grains = DispatchProxy.Create<IGrainFactory, FactoryProxy>();
        ((FactoryProxy)(object)Grains).Cluster = this;
    }

    public IGrainFactory Grains { get; }

    public ClusterDescription Description { get; set; } = new(
        "test-cluster", 1,
        [
            new BrokerRegistration(
                1, "broker-1",
                [new BrokerEndpoint("PLAINTEXT", "one.example", 9092), new BrokerEndpoint("OTHER", "one.inner", 9192)], null),
            new BrokerRegistration(2, "broker-2", [new BrokerEndpoint("PLAINTEXT", "two.example", 9092)], null),
        ]);

    public int ProducerBlocks { get; private set; }

    public Exception? ProducerIdFailure { get; set; }

    public Exception? CatalogFailure { get; set; }

    public InMemoryPartition Partition(string topic, int partition) =>
        _partitions.GetOrAdd(PartitionKey.Format(topic, partition), _ => new InMemoryPartition(leaderEpoch: 5));

    public FakeTopic Topic(string name) => _topics.GetOrAdd(name, _ => new FakeTopic(this, name));

    public FakeGroup Group(string id) => _groups.GetOrAdd(id, _ => new FakeGroup(id));

    public TopicDescription AddTopic(string name, int partitions) => Topic(name).Create(partitions);

    public IEnumerable<TopicDescription> Topics => _topics.Values.Select(topic => topic.Description).OfType<TopicDescription>();

    public IEnumerable<string> GroupIds => _groups.Keys;

    private object Get(Type type, object key) => (type.Name, key) switch
    {
        (nameof(IPartitionGrain), string id) => _partitions.GetOrAdd(id, _ => new InMemoryPartition(leaderEpoch: 5)),
        (nameof(ITopicGrain), string name) => Topic(name),
        (nameof(IGroupGrain), string id) => Group(id),
        (nameof(IClusterGrain), _) => new FakeClusterGrain(this),
        (nameof(IProducerIdGrain), _) => new FakeProducerIds(this),
        (nameof(ITopicCatalogGrain), long shard) => _catalogs.GetOrAdd((int)shard, number => new FakeCatalog(this, number)),
        (nameof(IGroupCatalogGrain), long shard) => new FakeGroupCatalog(this, (int)shard),
        _ => throw new NotSupportedException($"{type.Name} {key}"),
    };

    /// <summary>A proxy, so that it compiles whatever overloads a grain factory has.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Performance", "CA1852", Justification = "DispatchProxy derives from it.")]
    internal class FactoryProxy : DispatchProxy
    {
        internal FakeCluster Cluster { get; set; } = null!;

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            targetMethod is { Name: "GetGrain", IsGenericMethod: true }
                ? Cluster.Get(targetMethod.GetGenericArguments()[0], args![0]!)
                : throw new NotSupportedException(targetMethod?.Name);
    }

    private sealed class FakeClusterGrain(FakeCluster cluster) : IClusterGrain
    {
        public Task<ClusterDescription> RegisterBrokerAsync(BrokerRegistration registration)
        {
            BrokerRegistration[] others = Array.FindAll(cluster.Description.Brokers, broker => broker.BrokerId != registration.BrokerId);
            return Task.FromResult(cluster.Description = cluster.Description with { Brokers = [.. others, registration] });
        }

        public Task<ClusterDescription> DescribeAsync() => Task.FromResult(cluster.Description);
    }

    private sealed class FakeProducerIds(FakeCluster cluster) : IProducerIdGrain
    {
        public Task<long> AllocateBlockAsync(int count) => cluster.ProducerIdFailure is { } failure
            ? Task.FromException<long>(failure)
            : Task.FromResult(1_000_000L * ++cluster.ProducerBlocks);
    }

    private sealed class FakeCatalog(FakeCluster cluster, int shard) : ITopicCatalogGrain
    {
        public Task PrepareAsync(TopicListing topic) => Task.CompletedTask;

        public Task AddAsync(TopicListing topic) => Task.CompletedTask;

        public Task RemoveAsync(string name, Guid id) => Task.CompletedTask;

        public Task<TopicListing[]> ListAsync() => cluster.CatalogFailure is { } failure ? throw failure : Task.FromResult(cluster.Topics
            .Where(topic => TopicCatalog.ShardOf(topic.Name) == shard)
            .Select(topic => new TopicListing(topic.Name, topic.Id, topic.Partitions.Length, false)).ToArray());

        public Task<string?> FindNameAsync(Guid id) => Task.FromResult(cluster.Topics.FirstOrDefault(topic => topic.Id == id)?.Name);
    }

    private sealed class FakeGroupCatalog(FakeCluster cluster, int shard) : IGroupCatalogGrain
    {
        public Task AddAsync(string groupId) => Task.CompletedTask;

        public Task RemoveAsync(string groupId) => Task.CompletedTask;

        public Task<string[]> ListAsync() => Task.FromResult(cluster.GroupIds.Where(id => TopicCatalog.ShardOf(id) == shard).ToArray());
    }
}

/// <summary>A topic that is what it was created as. <see cref="Failure"/> makes calls throw.</summary>
internal sealed class FakeTopic(FakeCluster cluster, string name) : ITopicGrain
{
    public TopicDescription? Description { get; set; }

    public int Describes { get; private set; }

    public Exception? Failure { get; set; }

    public List<ConfigChange> Changes { get; } = [];

    public TopicDescription Create(int partitions)
    {
        Guid id = TopicCatalog.IdFor(name, Guid.NewGuid());
        IEnumerable<PartitionAssignment> assignments =
            Enumerable.Range(0, partitions).Select(i => new PartitionAssignment(i, 1 + (i % 2), 5, [1 + (i % 2)], [1 + (i % 2)]));
        return Description = new TopicDescription(name, id, [.. assignments], [], 1, false);
    }

    public Task<TopicDescription> CreateAsync(TopicSpec spec)
    {
        Throw();
        if (Description is not null)
        {
            throw new ArusException(ErrorCode.TopicAlreadyExists, $"Topic {name} exists.");
        }

        TopicDescription created = Create(spec.Partitions < 0 ? 1 : spec.Partitions) with { Configs = spec.Configs };
        Description = spec.ValidateOnly ? null : created;
        return Task.FromResult(created);
    }

    public Task<TopicDescription?> DescribeAsync()
    {
        Describes++;
        Throw();
        return Task.FromResult(Description);
    }

    public Task DeleteAsync()
    {
        Throw();
        Description = null;
        return Task.CompletedTask;
    }

    public Task<TopicDescription> CreatePartitionsAsync(int count, int[][]? assignments, bool validateOnly)
    {
        Throw();
        return count <= Description!.Partitions.Length
            ? throw new ArusException(ErrorCode.InvalidPartitions, $"{name} has {Description.Partitions.Length} partitions already.")
            : Task.FromResult(Create(count));
    }

    public Task AlterConfigsAsync(ConfigChange[] changes, bool validateOnly)
    {
        Throw();
        Changes.AddRange(changes);
        return Task.CompletedTask;
    }

    public Task<Guid?> ReportLeaderAsync(int partition, int brokerId, int leaderEpoch) => Task.FromResult(Description?.Id);

    public Task<PartitionSpec?> DescribePartitionAsync(int partition) => throw new NotSupportedException();

    public Task<int> LocateAsync(int partition) => Task.FromResult(Description?.Partitions[partition].Leader ?? -1);

    private void Throw()
    {
        _ = cluster;
        if (Failure is not null)
        {
            throw Failure;
        }
    }
}
