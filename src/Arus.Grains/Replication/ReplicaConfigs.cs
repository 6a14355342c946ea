using System.Collections.Concurrent;
using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// The keys that topics set, as they were told to all brokers or asked of the topic: a failover does not wait for a topic's grain, whose
/// silo may be the one that died. Safe for use by any thread.
/// </summary>
internal sealed class ReplicaConfigs(IGrainFactory grains)
{
    private const int MaxKept = 50_000;

    private readonly ConcurrentDictionary<Guid, IReadOnlyDictionary<string, string>> _known = new();
    private readonly ConcurrentDictionary<Guid, Lazy<Task<IReadOnlyDictionary<string, string>>>> _asked = new();

    public void Learn(Guid topicId, IReadOnlyDictionary<string, string> configs)
    {
        if (_known.Count >= MaxKept)
            _known.Clear();

        _known[topicId] = configs;
    }

    /// <summary>What is known; otherwise the topic is asked.</summary>
    /// <exception cref="Exception">What the grain call threw, or a <see cref="LogException"/>: there is no such topic.</exception>
    public async ValueTask<IReadOnlyDictionary<string, string>> GetAsync(PartitionState state) =>
        _known.TryGetValue(state.Id.TopicId, out IReadOnlyDictionary<string, string>? known)
            ? known
            : await AskAsync(state).ConfigureAwait(false);

    /// <summary>Asks the topic; all who ask at the same time share one call.</summary>
    /// <inheritdoc cref="GetAsync"/>
    public async Task<IReadOnlyDictionary<string, string>> AskAsync(PartitionState state)
    {
        Guid topicId = state.Id.TopicId;
        Lazy<Task<IReadOnlyDictionary<string, string>>> call = _asked.GetOrAdd(topicId, _ => new(() => CallAsync(state)));
        try
        {
            IReadOnlyDictionary<string, string> configs = await call.Value.ConfigureAwait(false);
            Learn(topicId, configs);
            return configs;
        }
        finally
        {
            _asked.TryRemove(new(topicId, call));
        }
    }

    private async Task<IReadOnlyDictionary<string, string>> CallAsync(PartitionState state)
    {
        PartitionSpec? spec = await grains.GetGrain<ITopicGrain>(state.Topic).DescribePartitionAsync(state.Id.Partition)
            .ConfigureAwait(false);
        return spec?.TopicId == state.Id.TopicId
            ? spec.Configs
            : throw new LogException($"There is no topic {state.Topic} with id {state.Id.TopicId} any more, or not yet.");
    }
}
