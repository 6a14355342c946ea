using System.Globalization;
using Arus.Grains;
using DeleteGroupsRequest = Arus.Protocol.DeleteGroupsRequest;
using DeleteGroupsResponse = Arus.Protocol.DeleteGroupsResponse;
using DescribeConfigsRequest = Arus.Protocol.DescribeConfigsRequest;
using DescribeConfigsResponse = Arus.Protocol.DescribeConfigsResponse;
using IncrementalAlterConfigsRequest = Arus.Protocol.IncrementalAlterConfigsRequest;
using IncrementalAlterConfigsResponse = Arus.Protocol.IncrementalAlterConfigsResponse;

namespace Arus.Client;

internal sealed partial class ArusAdmin(IGrainFactory grains, GrainRetry retry) : IArusAdmin
{
    /// <summary>How many grain calls one operation has under way at once.</summary>
    private const int MaxParallelCalls = 64;

    public async Task<TopicDescription> CreateTopicAsync(NewTopic topic, CancellationToken cancellationToken = default)
    {
        var spec = new TopicSpec(
            topic.Partitions, topic.ReplicationFactor, Assignments: null, new Dictionary<string, string>(topic.Configs),
            topic.ValidateOnly);
        return ToPublic(await ChangeAsync(Topic(topic.Name).CreateAsync(spec), cancellationToken).ConfigureAwait(false));
    }

    public async Task<IReadOnlyList<TopicListing>> ListTopicsAsync(
        bool includeInternal = false, CancellationToken cancellationToken = default)
    {
        Grains.TopicListing[] topics = await AllShardsAsync(
            retry, shard => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync(), cancellationToken).ConfigureAwait(false);
        return [.. topics
            .Where(t => includeInternal || !t.IsInternal)
            .OrderBy(t => t.Name, StringComparer.Ordinal)
            .Select(t => new TopicListing(t.Name, t.Id, t.Partitions, t.IsInternal))];
    }

    public async Task<TopicDescription> DescribeTopicAsync(string topic, CancellationToken cancellationToken = default) =>
        await retry.CallAsync(() => Topic(topic).DescribeAsync(), cancellationToken).ConfigureAwait(false) is { } description
            ? ToPublic(description)
            : throw new ArusException(ErrorCode.UnknownTopicOrPartition, $"There is no topic '{topic}'.");

    public async Task<IReadOnlyList<PartitionDescription>> DescribePartitionsAsync(
        string topic, CancellationToken cancellationToken = default)
    {
        TopicDescription description = await DescribeTopicAsync(topic, cancellationToken).ConfigureAwait(false);
        var answers = new PartitionDescription[description.Partitions.Count];
        var limits = new ParallelOptions { MaxDegreeOfParallelism = MaxParallelCalls, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, answers.Length, limits, async (partition, token) =>
        {
            try
            {
                Grains.PartitionDescription log =
                    await Partition(new(topic, partition)).DescribeAsync().WaitAsync(token).ConfigureAwait(false);
                answers[partition] = new PartitionDescription(
                    log.Error, log.Leader, log.LeaderEpoch, log.LogStartOffset, log.HighWatermark, log.LogEndOffset, log.SizeBytes,
                    log.Segments);
            }
            catch (Exception failure) when (GrainRetry.IsTransient(failure))
            {
                ErrorCode error = failure is ArusException refused ? refused.Code : ErrorCode.LeaderNotAvailable;
                answers[partition] = new PartitionDescription(error, description.Partitions[partition].Leader, -1, -1, -1, -1, -1, 0);
            }
        }).ConfigureAwait(false);
        return answers;
    }

    public Task DeleteTopicAsync(string topic, CancellationToken cancellationToken = default) =>
        ChangeAsync(Topic(topic).DeleteAsync(), cancellationToken);

    public async Task<TopicDescription> CreatePartitionsAsync(
        string topic, int totalCount, CancellationToken cancellationToken = default) =>
        ToPublic(await ChangeAsync(
            Topic(topic).CreatePartitionsAsync(totalCount, assignments: null, validateOnly: false),
            cancellationToken).ConfigureAwait(false));

    public Task AlterTopicConfigsAsync(
        string topic, IReadOnlyCollection<ConfigChange> changes, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            Topic(topic).AlterConfigsAsync(
                [.. changes.Select(c => new Grains.ConfigChange(c.Key, (Grains.ConfigOperation)c.Operation, c.Value))],
                validateOnly: false),
            cancellationToken);

    public async Task<IReadOnlyList<ConfigEntry>> DescribeConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<string> keys, CancellationToken cancellationToken = default)
    {
        var request = new DescribeConfigsRequest
        {
            Resources = [new() { ResourceType = (sbyte)type, ResourceName = name, ConfigurationKeys = keys.Count > 0 ? [.. keys] : null }],
        };
        IBrokerGrain broker = await BrokerOfAsync(type, name, cancellationToken).ConfigureAwait(false);
        DescribeConfigsResponse response = await retry.CallAsync(
            () => broker.DescribeConfigsAsync(request, CancellationToken.None), cancellationToken).ConfigureAwait(false);
        DescribeConfigsResponse.DescribeConfigsResult result = response.Results[0];
        ThrowIfRefused(result.ErrorCode, result.ErrorMessage);
        return [.. result.Configs.Select(config => new ConfigEntry(
            config.Name, config.Value, (ConfigSource)config.ConfigSource, (ConfigType)config.ConfigType, config.ReadOnly,
            config.IsSensitive))];
    }

    public async Task AlterConfigsAsync(
        ConfigResourceType type, string name, IReadOnlyCollection<ConfigChange> changes, bool validateOnly = false,
        CancellationToken cancellationToken = default)
    {
        var request = new IncrementalAlterConfigsRequest
        {
            ValidateOnly = validateOnly,
            Resources =
            [
                new()
                {
                    ResourceType = (sbyte)type,
                    ResourceName = name,
                    Configs = [.. changes.Select(change => new IncrementalAlterConfigsRequest.AlterableConfig
                    {
                        Name = change.Key, ConfigOperation = (sbyte)change.Operation, Value = change.Value,
                    })],
                },
            ],
        };
        IBrokerGrain broker = await BrokerOfAsync(type, name, cancellationToken).ConfigureAwait(false);
        IncrementalAlterConfigsResponse response = await ChangeAsync(
            broker.IncrementalAlterConfigsAsync(request), cancellationToken).ConfigureAwait(false);
        ThrowIfRefused(response.Responses[0].ErrorCode, response.Responses[0].ErrorMessage);
    }

    public async Task<long> DeleteRecordsAsync(TopicPartition partition, long beforeOffset, CancellationToken cancellationToken = default)
    {
        // Safe to repeat: what is before an offset can only be removed once.
        DeleteRecordsResponse answer = await retry.CallAsync(
            () => Partition(partition).DeleteRecordsAsync(beforeOffset), a => a.Error, cancellationToken).ConfigureAwait(false);
        answer.Error.ThrowIfError($"Deleting records of {partition} before {beforeOffset}");
        return answer.LogStartOffset;
    }

    public async Task<OffsetAndTimestamp> ListOffsetAsync(
        TopicPartition partition, OffsetSpec spec, CancellationToken cancellationToken = default)
    {
        var request = new ListOffsetRequest(spec.Timestamp, CurrentLeaderEpoch: -1, IsolationLevel.ReadUncommitted);
        ListOffsetResponse answer = await retry.CallAsync(
            () => Partition(partition).ListOffsetAsync(request), a => a.Error, cancellationToken).ConfigureAwait(false);
        answer.Error.ThrowIfError($"Looking up an offset of {partition}");
        return new OffsetAndTimestamp(answer.Offset, answer.Timestamp, answer.LeaderEpoch);
    }

    public async Task<IReadOnlyList<string>> ListGroupsAsync(CancellationToken cancellationToken = default)
    {
        string[] ids = await AllShardsAsync(
            retry, shard => grains.GetGrain<IGroupCatalogGrain>(shard).ListAsync(), cancellationToken).ConfigureAwait(false);
        return [.. ids.Order(StringComparer.Ordinal)];
    }

    public Task<GroupDescription> DescribeGroupAsync(string groupId, CancellationToken cancellationToken = default) =>
        retry.CallAsync(() => Group(groupId).DescribeAsync(groupId), cancellationToken);

    public async Task<IReadOnlyList<CommittedOffset>> ListGroupOffsetsAsync(
        string groupId, CancellationToken cancellationToken = default) =>
        await retry.CallAsync(() => Group(groupId).FetchOffsetsAsync(groupId, partitions: null), cancellationToken).ConfigureAwait(false);

    public async Task AlterGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<CommittedOffset> offsets, CancellationToken cancellationToken = default)
    {
        ErrorCode[] errors = await ChangeAsync(
            Group(groupId).CommitOffsetsAsync(groupId, GroupMessages.NoMember, offsets), cancellationToken).ConfigureAwait(false);
        errors.FirstOrDefault(e => e != ErrorCode.None).ThrowIfError($"Setting offsets of the group '{groupId}'");
    }

    public async Task DeleteGroupOffsetsAsync(
        string groupId, IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default)
    {
        ErrorCode error = await ChangeAsync(
            Group(groupId).DeleteOffsetsAsync(groupId, partitions), cancellationToken).ConfigureAwait(false);
        error.ThrowIfError($"Deleting offsets of the group '{groupId}'");
    }

    public async Task DeleteGroupAsync(string groupId, CancellationToken cancellationToken = default)
    {
        var request = new DeleteGroupsRequest { GroupsNames = [groupId] };
        DeleteGroupsResponse response = await ChangeAsync(Group(groupId).DeleteAsync(request), cancellationToken).ConfigureAwait(false);
        response.Results[0].ErrorCode.ThrowIfError($"Deleting the group '{groupId}'");
    }

    public async Task<ClusterDescription> DescribeClusterAsync(CancellationToken cancellationToken = default)
    {
        Grains.ClusterDescription cluster =
            await retry.CallAsync(() => grains.GetGrain<IClusterGrain>(0).DescribeAsync(), cancellationToken).ConfigureAwait(false);
        return new ClusterDescription(cluster.ClusterId, cluster.ControllerId, [.. cluster.Brokers.Select(b => new BrokerDescription(
            b.BrokerId, b.SiloName, [.. b.Endpoints.Select(e => new BrokerEndpoint(e.Listener, e.Host, e.Port))], b.Rack))]);
    }

    /// <summary>Concatenates the answers of all shards of a catalog.</summary>
    internal static async Task<T[]> AllShardsAsync<T>(GrainRetry retry, Func<int, Task<T[]>> list, CancellationToken cancellationToken)
    {
        IEnumerable<int> shards = Enumerable.Range(0, TopicCatalog.Shards);
        T[][] lists = await Task.WhenAll(shards.Select(shard => retry.CallAsync(() => list(shard), cancellationToken)))
            .ConfigureAwait(false);
        return [.. lists.SelectMany(listed => listed)];
    }

    private static TopicDescription ToPublic(Grains.TopicDescription topic) => new(
        topic.Name, topic.Id,
        [.. topic.Partitions.Select(p => new TopicPartitionInfo(p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.Isr))],
        topic.Configs, topic.IsInternal);

    /// <summary>The broker itself for what only it knows, otherwise any that is alive.</summary>
    private async Task<IBrokerGrain> BrokerOfAsync(ConfigResourceType type, string name, CancellationToken cancellationToken)
    {
        bool isOwn = type is ConfigResourceType.Broker or ConfigResourceType.BrokerLogger;
        if (!isOwn || !int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
            id = (await DescribeClusterAsync(cancellationToken).ConfigureAwait(false)).ControllerId;

        return grains.GetGrain<IBrokerGrain>(id);
    }

    private static void ThrowIfRefused(ErrorCode error, string? message)
    {
        if (error != ErrorCode.None)
            throw new ArusException(error, message ?? "The request was refused.");
    }

    private ITopicGrain Topic(string name) => grains.GetGrain<ITopicGrain>(name);

    private IPartitionGrain Partition(TopicPartition partition) =>
        grains.GetGrain<IPartitionGrain>(PartitionKey.Format(partition.Topic, partition.Partition));

    private IGroupGrain Group(string groupId) => grains.GetGroup(groupId);

    /// <summary>A change is made once: repeated after a lost answer, it could be refused for having succeeded.</summary>
    private static async Task<T> ChangeAsync<T>(Task<T> call, CancellationToken cancellationToken)
    {
        await ChangeAsync((Task)call, cancellationToken).ConfigureAwait(false);
        return await call.ConfigureAwait(false);
    }

    private static async Task ChangeAsync(Task call, CancellationToken cancellationToken)
    {
        try
        {
            await call.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not ArusException && GrainRetry.IsTransient(failure))
        {
            throw new ArusException(
                ErrorCode.RequestTimedOut, $"The cluster did not answer; the change may have been made: {failure.Message}", failure);
        }
    }
}
