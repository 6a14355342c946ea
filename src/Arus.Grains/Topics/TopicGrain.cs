using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="ITopicGrain"/>
/// <remarks>
/// Creation: the catalog marks the topic pending, the state is written, the catalog lists it. Deletion: the state is marked, the catalog
/// marks it pending, the partitions are deleted, then the state, then the catalog's entry. A crash in between is repaired by the next call
/// to the catalog or the topic. Calls that only read interleave, so they see <see cref="_durable"/>, which changes only after a write has
/// succeeded.
/// </remarks>
internal sealed class TopicGrain(
    [PersistentState(TopicGrain.StateName, StorageNames.Metadata)] IPersistentState<TopicState> state,
    LocalBroker broker, BrokerMembership membership, TimeProvider time, ILogger<TopicGrain> logger,
    TopicReplication? replication = null) : Grain, ITopicGrain
{
    public const string StateName = "topic";

    private const int MaxConcurrentCalls = 32;
    private const int CatalogAttempts = 3;
    private const int CollisionAttempts = 50;

    private static readonly TimeSpan CollisionBackoff = TimeSpan.FromMilliseconds(50);

    /// <summary>What the partitions reported since this activation began: a partition's leader and its epoch.</summary>
    private readonly Dictionary<int, (int Leader, int Epoch)> _leaders = [];

    private TopicState? _durable;
    private TopicDescription? _description;
    private object? _membershipToken;
    private long _revision;
    private string _name = "";

    private TopicState? Existing => _durable is { Deleting: false } ? _durable : null;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _name = this.GetPrimaryKeyString();
        _durable = state.RecordExists && state.State.Id != Guid.Empty ? state.State : null;
        if (_durable is { Deleting: true })
        {
            // A deletion was cut short.
            this.RegisterGrainTimer(
                FinishDeletionAsync, new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = Timeout.InfiniteTimeSpan });
        }
        else if (_durable is { } topic && replication?.IsComplete(topic) == false)
        {
            // A creation was cut short, or this broker has not heard of all partitions yet.
            this.RegisterGrainTimer(
                _ => CreateStatesAsync(), new GrainTimerCreationOptions(TimeSpan.Zero, Timeout.InfiniteTimeSpan) { Interleave = true });
        }

        return Task.CompletedTask;
    }

    public async Task<TopicDescription> CreateAsync(TopicSpec spec)
    {
        if (TopicName.Validate(_name) is { IsOk: false } refusal)
            throw new ArusException(refusal.Error, refusal.Message!);

        await FinishDeletionAsync(CancellationToken.None);
        if (_durable is not null)
            throw new ArusException(ErrorCode.TopicAlreadyExists, $"Topic '{_name}' already exists.");

        Dictionary<string, string> configs = TopicConfigChanges.Check(spec.Configs, broker.Config);
        Guid id = TopicCatalog.IdFor(_name, Guid.NewGuid());
        int[][] replicas = ReplicaPlacer.Place(
            spec, broker.Config.GetInt(BrokerConfigs.NumPartitions), (short)broker.Config.GetInt(BrokerConfigs.DefaultReplicationFactor),
            await LiveBrokersAsync(FactorOf(spec)), RotationStart(id), replication is not null);
        var created = new TopicState
        {
            Id = id, Replicas = replicas, Configs = configs, Version = 1, CreatedAtMs = time.GetUtcNow().ToUnixTimeMilliseconds(),
        };
        if (spec.ValidateOnly)
        {
            await CheckCollisionsAsync();
            return Describe(created);
        }

        TopicListing listing = Listing(created);
        await CallCatalogAsync(id, catalog => catalog.PrepareAsync(listing));
        try
        {
            await CheckCollisionsAsync();
        }
        catch
        {
            await CallCatalogAsync(id, catalog => catalog.RemoveAsync(_name, id));
            throw;
        }

        await WriteAsync(created);
        await BeginAsync(0);
        await CallCatalogAsync(id, catalog => catalog.AddAsync(listing));
        return Description()!;
    }

    public Task<TopicDescription?> DescribeAsync() => Task.FromResult(Description());

    public Task<int> LocateAsync(int partition) =>
        Task.FromResult(_durable is { } topic && partition < topic.Replicas.Length ? topic.Replicas[partition][0] : -1);

    public Task<PartitionSpec?> DescribePartitionAsync(int partition) => Task.FromResult(
        Existing is { } topic && partition < topic.Replicas.Length
            ? new PartitionSpec(topic.Id, topic.Replicas[partition], topic.Configs)
            : null);

    public async Task DeleteAsync(Guid topicId)
    {
        TopicState topic = Existing ?? throw Unknown();
        if (topicId != Guid.Empty && topicId != topic.Id)
            throw new ArusException(ErrorCode.UnknownTopicId, $"Topic '{_name}' has id {topic.Id}; there is none with id {topicId}.");

        if (!broker.Config.GetBoolean(BrokerConfigs.DeleteTopicEnable))
            throw new ArusException(ErrorCode.TopicDeletionDisabled, $"{BrokerConfigs.DeleteTopicEnable}=false on this cluster.");

        await WriteAsync(topic with { Deleting = true, Version = topic.Version + 1 });
        await FinishDeletionAsync(CancellationToken.None);
    }

    public async Task<TopicDescription> CreatePartitionsAsync(int count, int[][]? assignments, bool validateOnly)
    {
        TopicState topic = Existing ?? throw Unknown();
        int factor = replication?.FactorOf(topic) ?? topic.Replicas[0].Length;
        int[][] added = ReplicaPlacer.PlaceAdded(
            topic.Replicas.Length, factor, count, assignments, await LiveBrokersAsync(assignments is null ? factor : int.MaxValue),
            RotationStart(topic.Id));
        TopicState grown = topic with { Replicas = [.. topic.Replicas, .. added], Version = topic.Version + 1 };
        if (validateOnly)
            return Describe(grown);

        await WriteAsync(grown);
        await BeginAsync(topic.Replicas.Length);
        await CallCatalogAsync(grown.Id, catalog => catalog.AddAsync(Listing(grown)));
        return Description()!;
    }

    public async Task AlterConfigsAsync(ConfigChange[] changes, bool validateOnly)
    {
        // As by Kafka, a bad key or value is told before that there is no such topic.
        Dictionary<string, string> configs = TopicConfigChanges.Alter(Existing?.Configs ?? [], changes, broker.Config);
        TopicState topic = Existing ?? throw Unknown();
        if (validateOnly)
            return;

        await WriteAsync(topic with { Configs = configs, Version = topic.Version + 1 });
        await (replication?.ReconfigureAsync(topic.Id, configs)
            ?? ForEachPartitionAsync(partition => partition.ReconfigureAsync(), CancellationToken.None));
    }

    public Task<Guid?> ReportLeaderAsync(int partition, int brokerId, int leaderEpoch, Guid topicId)
    {
        if (topicId == Existing?.Id
            && (!_leaders.TryGetValue(partition, out (int Leader, int Epoch) known) || known.Epoch <= leaderEpoch))
        {
            _leaders[partition] = (brokerId, leaderEpoch);
            _description = null;
        }

        return Task.FromResult(Existing?.Id);
    }

    /// <summary>Partitions that nobody has led yet: their first leader will have the first epoch.</summary>
    private async Task BeginAsync(int first)
    {
        if (replication is not null)
        {
            await CreateStatesAsync();
            return;
        }

        for (int i = first; i < _durable!.Replicas.Length; i++)
            _leaders[i] = (_durable.Replicas[i][0], 0);

        _description = null;
    }

    private bool IsShared(TopicState topic) =>
        TopicConfig.Resolve(topic.Configs, broker.Config).LogType == BrokerConfigs.LogTypeStorage;

    private Task CreateStatesAsync() =>
        Existing is { } topic ? replication!.CreateAsync(_name, topic, IsShared(topic)) : Task.CompletedTask;

    /// <summary>
    /// Refuses a name that collides with another topic's. Of two that are created at the same time each has told the catalog before it
    /// looks, so that at least one of them sees the other: the later name gives way, and the earlier one waits for that.
    /// </summary>
    private async Task CheckCollisionsAsync()
    {
        if (!_name.AsSpan().ContainsAny('.', '_'))
            return;

        for (int attempt = 1; ; attempt++)
        {
            CollidingTopic?[] found = await Task.WhenAll(Enumerable.Range(0, TopicCatalog.Shards).Select(
                shard => GrainFactory.GetGrain<ITopicCatalogGrain>(shard).FindCollisionAsync(_name)));
            if (found.FirstOrDefault(other => other is not null) is not { } collision)
                return;

            if (!collision.IsPending || string.CompareOrdinal(collision.Name, _name) < 0)
            {
                throw new ArusException(
                    ErrorCode.InvalidTopicException,
                    $"Topic '{_name}' collides with existing topic '{collision.Name}': '.' and '_' are one in the names of metrics.");
            }

            if (attempt == CollisionAttempts)
            {
                throw new ArusException(
                    ErrorCode.RequestTimedOut, $"Topic '{collision.Name}', with which '{_name}' collides, is being created; try again.");
            }

            await Task.Delay(CollisionBackoff, time);
        }
    }

    private async Task FinishDeletionAsync(CancellationToken cancellationToken)
    {
        if (_durable is not { Deleting: true } topic)
            return;

        await CallCatalogAsync(topic.Id, catalog => catalog.PrepareAsync(Listing(topic)));
        await (replication?.DeleteAsync(topic.Id)
            ?? ForEachPartitionAsync(partition => partition.DeleteAsync(topic.Id), cancellationToken));
        await state.ClearStateAsync(cancellationToken);
        _durable = null;
        _description = null;
        _leaders.Clear();
        await CallCatalogAsync(topic.Id, catalog => catalog.RemoveAsync(_name, topic.Id));
    }

    /// <summary>Calls every partition. One that cannot be reached is only logged: its next activation reads the topic anew.</summary>
    private async Task ForEachPartitionAsync(Func<IPartitionGrain, Task> call, CancellationToken cancellationToken)
    {
        foreach (int[] some in Enumerable.Range(0, _durable!.Replicas.Length).Chunk(MaxConcurrentCalls))
        {
            cancellationToken.ThrowIfCancellationRequested();
            await Task.WhenAll(some.Select(CallAsync));
        }

        async Task CallAsync(int partition)
        {
            try
            {
                await call(GrainFactory.GetGrain<IPartitionGrain>(PartitionKey.Format(_name, partition)));
            }
            catch (Exception e) when (e is ArusException or OrleansException or TimeoutException)
            {
                logger.LogWarning(
                    "Partition {Topic}-{Partition} could not be told of a change of its topic: {Reason}", _name, partition, e.Message);
            }
        }
    }

    private async Task WriteAsync(TopicState next)
    {
        await state.ReplaceAsync(next, this, $"Topic '{_name}'");
        _durable = next;
        _description = null;
    }

    /// <summary>A call to the catalog can be repeated safely; a shard that lost its storage row to another activation comes back.</summary>
    private async Task CallCatalogAsync(Guid id, Func<ITopicCatalogGrain, Task> call)
    {
        ITopicCatalogGrain catalog = GrainFactory.GetGrain<ITopicCatalogGrain>(TopicCatalog.ShardOf(id));
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await call(catalog);
                return;
            }
            catch (Exception e) when (attempt < CatalogAttempts && e is InconsistentStateException or OrleansException)
            {
                logger.LogInformation("The catalog's shard of topic {Topic} is called again: {Reason}", _name, e.Message);
            }
        }
    }

    /// <summary>How many brokers a partition needs; more than there are if its creator names them.</summary>
    private int FactorOf(TopicSpec spec) => spec.Assignments is not null ? int.MaxValue
        : spec.ReplicationFactor == -1 ? broker.Config.GetInt(BrokerConfigs.DefaultReplicationFactor)
        : spec.ReplicationFactor;

    /// <summary>The brokers that may get a partition: without those that are being drained, if the others are enough.</summary>
    private async Task<LiveBroker[]> LiveBrokersAsync(int factor)
    {
        ClusterDescription cluster = await GrainFactory.GetGrain<IClusterGrain>(0).DescribeAsync();
        LiveBroker[] live = [.. cluster.Brokers.Select(one => new LiveBroker(one.BrokerId, one.Rack)).OrderBy(one => one.Id)];
        if (replication is null)
            return live;

        int[] draining = await GrainFactory.GetGrain<IControllerGrain>(0).GetDrainingAsync();
        LiveBroker[] takers = Array.FindAll(live, one => !draining.Contains(one.Id));
        return takers.Length >= factor ? takers : live;
    }

    private TopicDescription? Description()
    {
        if (Existing is not { } topic)
            return null;

        object token = membership.Token;
        long revision = replication?.RevisionOf(topic.Id) ?? 0;
        if (_description is null || !ReferenceEquals(token, _membershipToken) || revision != _revision)
        {
            (_membershipToken, _revision) = (token, revision);
            _description = Describe(topic);
        }

        return _description;
    }

    private TopicDescription Describe(TopicState topic)
    {
        var partitions = new PartitionAssignment[topic.Replicas.Length];
        for (int i = 0; i < partitions.Length; i++)
        {
            if (replication is not null)
            {
                partitions[i] = replication.Describe(topic, i);
                continue;
            }

            int[] replicas = topic.Replicas[i];
            (int leader, int epoch) = _leaders.TryGetValue(i, out (int Leader, int Epoch) known) ? known : (replicas[0], -1);
            partitions[i] = new PartitionAssignment(i, membership.IsAlive(leader) ? leader : Successor(i), epoch, replicas, replicas);
        }

        return new TopicDescription(_name, topic.Id, partitions, topic.Configs, topic.Version, TopicName.IsInternal(_name));
    }

    /// <summary>The broker to call for a partition whose leader is gone: none, unless all brokers can read its records.</summary>
    private int Successor(int partition) =>
        broker.SharesLogs && membership.Alive is { Count: > 0 } alive ? alive[partition % alive.Count] : -1;

    private TopicListing Listing(TopicState topic) => new(_name, topic.Id, topic.Replicas.Length, TopicName.IsInternal(_name));

    /// <summary>Differs between topics, so that their first partitions are not all on one broker.</summary>
    private static uint RotationStart(Guid id) => BitConverter.ToUInt32(id.ToByteArray());

    private ArusException Unknown() => new(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{_name}'.");
}
