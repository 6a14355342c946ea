using System.Text;
using Arus.Client;

namespace Arus.Cli.Tests;

/// <summary>A cluster of one broker that remembers topics and offsets, so that commands run without one.</summary>
internal sealed class FakeCluster : IConnector, IConnection, IArusClient, IArusAdmin
{
    public Dictionary<string, TopicDescription> Topics { get; } = [];

    public Dictionary<TopicPartition, (long First, long End)> Logs { get; } = [];

    public List<CommittedOffset> Committed { get; } = [];

    public List<ConfigChange> Changes { get; } = [];

    public List<(ConfigResourceType Type, string Name, bool ValidateOnly)> Altered { get; } = [];

    public List<(LeaderElectionType Type, TopicPartition[]? Partitions)> Elections { get; } = [];

    public List<NewReassignment> Reassignments { get; } = [];

    public bool IsPaused { get; private set; }

    public HashSet<int> Drained { get; } = [];

    /// <summary>What broker 2 has to give away, less with each look, and what it keeps all the same.</summary>
    public int Remaining { get; set; }

    /// <inheritdoc cref="Remaining"/>
    public int Kept { get; set; } = 3;

    /// <summary>How often reassignments were listed.</summary>
    public int Listed { get; private set; }

    /// <summary>What an operation on a partition ends with, if not with success.</summary>
    public Dictionary<TopicPartition, ErrorCode> Outcomes { get; } = [];

    public bool Unreachable { get; init; }

    /// <summary>What producers and consumers are made of; null for none.</summary>
    public Loopback? Loopback { get; init; }

    public IArusClient Client => this;

    public IArusAdmin Admin => this;

    /// <summary>Runs a command line; answers its exit code, standard output and standard error.</summary>
    public async Task<(int Code, string Output, string Error)> RunAsync(params string[] args)
    {
        using var output = new MemoryStream();
        using var error = new StringWriter();
        using var terminal = new Terminal(Stream.Null, output, error, interactive: false);
        int code = await new Application(this, terminal).RunAsync(args);
        return (code, Encoding.UTF8.GetString(output.ToArray()), error.ToString());
    }

    public Task<IConnection> ConnectAsync(ConnectionSettings settings, CancellationToken cancellationToken) =>
        Unreachable ? throw new UnreachableException("No silo answered at 127.0.0.1:30000.") : Task.FromResult<IConnection>(this);

    public Task<TopicDescription> CreateTopicAsync(NewTopic topic, CancellationToken cancellationToken = default)
    {
        TopicPartitionInfo[] partitions =
            [.. Enumerable.Range(0, Math.Max(1, topic.Partitions)).Select(p => new TopicPartitionInfo(p, 1, 0, [1], [1]))];
        var created = new TopicDescription(topic.Name, Guid.Empty, partitions, topic.Configs, IsInternal: false);
        return Topics.TryAdd(topic.Name, created)
            ? Task.FromResult(created)
            : throw new ArusException(ErrorCode.TopicAlreadyExists, $"Topic '{topic.Name}' exists already.");
    }

    public Task<IReadOnlyList<TopicListing>> ListTopicsAsync(bool includeInternal = false, CancellationToken cancellationToken = default) =>
        Task.FromResult<IReadOnlyList<TopicListing>>(
            [.. Topics.Values.Select(t => new TopicListing(t.Name, t.Id, t.Partitions.Count, t.IsInternal))]);

    public Task<TopicDescription> DescribeTopicAsync(string topic, CancellationToken cancellationToken = default) =>
        Topics.TryGetValue(topic, out TopicDescription? found)
            ? Task.FromResult(found)
            : throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic}'.");

    public Task AlterTopicConfigsAsync(
        string topic, IReadOnlyCollection<ConfigChange> changes, CancellationToken cancellationToken = default)
    {
        Changes.AddRange(changes);
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<ConfigEntry>> DescribeConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<string> keys, CancellationToken cancellationToken = default) =>
        Task.FromResult<IReadOnlyList<ConfigEntry>>(
        [
            .. new[]
            {
                new ConfigEntry($"{type}.of.{name}", "7", ConfigSource.DynamicBroker, ConfigType.Int, false, false),
                new ConfigEntry("at.default", "8", ConfigSource.Default, ConfigType.Int, true, false),
                new ConfigEntry("secret", null, ConfigSource.StaticBroker, ConfigType.Password, true, true),
            }.Where(entry => keys.Count == 0 || keys.Contains(entry.Name)),
        ]);

    public Task AlterConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<ConfigChange> changes, bool validateOnly = false,
        CancellationToken cancellationToken = default)
    {
        if (changes.Any(change => change.Value == "x"))
            throw new ArusException(ErrorCode.InvalidConfig, $"{changes.First().Key}=x: not a whole number");

        Altered.Add((type, name, validateOnly));
        Changes.AddRange(changes);
        return Task.CompletedTask;
    }

    public Task<OffsetAndTimestamp> ListOffsetAsync(
        TopicPartition partition, OffsetSpec spec, CancellationToken cancellationToken = default)
    {
        (long first, long end) = Logs[partition];
        long offset = spec == OffsetSpec.Earliest ? first : spec == OffsetSpec.Latest ? end : -1;
        return Task.FromResult(new OffsetAndTimestamp(offset, -1, 0));
    }

    public Task AlterGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<CommittedOffset> offsets, CancellationToken cancellationToken = default)
    {
        Committed.AddRange(offsets);
        return Task.CompletedTask;
    }

    public Task<ClusterDescription> DescribeClusterAsync(CancellationToken cancellationToken = default) =>
        Task.FromResult(
            new ClusterDescription(
                "c", 1, [new BrokerDescription(1, "broker-1", [new BrokerEndpoint("PLAINTEXT", "localhost", 9092)], null)]));

    public Task<ClusterBalance> DescribeBalanceAsync(CancellationToken cancellationToken = default) => Task.FromResult(
        new ClusterBalance(
            9, 1, 2, Reassignments.Count,
            [
                new BrokerBalance(1, true, "a", 3, 6, 0, false, 0),
                new BrokerBalance(2, false, null, 0, Kept, 2, Drained.Contains(2), Drained.Contains(2) ? Math.Max(0, Remaining--) : 0),
            ],
            IsPaused, IsPaused ? 4 : 0, 0));

    public Task<IReadOnlyList<PartitionOutcome>> RestoreMetadataAsync(
        bool force = false, CancellationToken cancellationToken = default) => Task.FromResult<IReadOnlyList<PartitionOutcome>>(
        Drained.Count > 0 ? [] :
        [
            new PartitionOutcome(new("a", 0), ErrorCode.None, "led by broker 2"),
            new PartitionOutcome(
                new("a", 1), force ? ErrorCode.None : ErrorCode.ReplicaNotAvailable, force ? "led by broker 1" : "broker 3 is away"),
        ]);

    public Task PauseRebalanceAsync(bool pause, CancellationToken cancellationToken = default)
    {
        IsPaused = pause;
        return Task.CompletedTask;
    }

    public Task DrainBrokerAsync(int brokerId, bool undo = false, CancellationToken cancellationToken = default)
    {
        if (brokerId > 2)
            throw new ArusException(ErrorCode.BrokerIdNotRegistered, $"Broker {brokerId} is not alive; those that are: 1, 2.");

        _ = undo ? Drained.Remove(brokerId) : Drained.Add(brokerId);
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<PartitionOutcome>> ElectLeadersAsync(
        LeaderElectionType type, IReadOnlyCollection<TopicPartition>? partitions, CancellationToken cancellationToken = default)
    {
        Elections.Add((type, partitions?.ToArray()));
        return Task.FromResult<IReadOnlyList<PartitionOutcome>>([.. (partitions ?? []).Select(Outcome)]);
    }

    public Task<IReadOnlyList<PartitionOutcome>> AlterPartitionReassignmentsAsync(
        IReadOnlyCollection<NewReassignment> reassignments, CancellationToken cancellationToken = default)
    {
        Reassignments.AddRange(reassignments);
        return Task.FromResult<IReadOnlyList<PartitionOutcome>>([.. reassignments.Select(one => Outcome(one.Partition))]);
    }

    /// <summary>Each time that it is asked one of those that were begun is over.</summary>
    public Task<IReadOnlyList<PartitionReassignment>> ListPartitionReassignmentsAsync(CancellationToken cancellationToken = default)
    {
        PartitionReassignment[] all =
            [.. Reassignments.Skip(Listed++).Select(one => new PartitionReassignment(one.Partition, one.Replicas ?? [], [2], [1]))];
        return Task.FromResult<IReadOnlyList<PartitionReassignment>>(all);
    }

    private PartitionOutcome Outcome(TopicPartition partition) =>
        Outcomes.TryGetValue(partition, out ErrorCode error) ? new(partition, error, $"because of {error}")
        : new(partition, ErrorCode.None, null);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // What no test of a command reaches.
    public Task<IReadOnlyList<PartitionDescription>> DescribePartitionsAsync(
        string topic, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task DeleteTopicAsync(string topic, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task<TopicDescription> CreatePartitionsAsync(string topic, int totalCount, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException();

    public Task<long> DeleteRecordsAsync(TopicPartition partition, long beforeOffset, CancellationToken cancellationToken = default)
    {
        (long first, long end) = Logs[partition];
        long start = beforeOffset == -1 ? end : Math.Max(first, beforeOffset);
        Logs[partition] = (start, end);
        return Task.FromResult(start);
    }

    public Task<IReadOnlyList<string>> ListGroupsAsync(CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task<GroupDescription> DescribeGroupAsync(string groupId, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException();

    public Task<IReadOnlyList<CommittedOffset>> ListGroupOffsetsAsync(string groupId, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException();

    public Task DeleteGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<TopicPartition> partitions,
        CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task DeleteGroupAsync(string groupId, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public IProducer<TKey, TValue> CreateProducer<TKey, TValue>(
        ProducerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null,
        IRecordSerializer<TValue>? valueSerializer = null) =>
        Loopback?.Producer<TKey, TValue>() ?? throw new NotSupportedException();

    public IConsumer<TKey, TValue> CreateConsumer<TKey, TValue>(
        ConsumerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null,
        IRecordSerializer<TValue>? valueSerializer = null) =>
        Loopback?.Consumer<TKey, TValue>(options) ?? throw new NotSupportedException();

    public IRecordProcessor CreateProcessor<TKey, TValue>(
        RecordProcessorOptions options, RecordHandler<TKey, TValue> handler,
        IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null) =>
        throw new NotSupportedException();
}
