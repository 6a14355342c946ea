using System.Collections.Concurrent;
using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>
/// The states of all partitions of the cluster, as this broker knows them: what winners of swaps announced, and what polls of the store
/// found. Metadata is answered from it. Of each partition the newest version counts. Safe for use by any thread.
/// </summary>
internal sealed class PartitionImage
{
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<PartitionId, PartitionState> _states = new();
    private readonly ConcurrentDictionary<Guid, TopicRevision> _revisions = new();
    private readonly ConcurrentDictionary<string, Guid> _names = new(StringComparer.Ordinal);

    /// <summary>Raised with the states that are new, outside of locks, one call after the other.</summary>
    public event Action<IReadOnlyList<PartitionState>>? Changed;

    /// <summary>The highest version seen.</summary>
    public long LatestVersion { get; private set; }

    public IReadOnlyCollection<PartitionState> All => (IReadOnlyCollection<PartitionState>)_states.Values;

    /// <summary>The state that changed last of those that are not deleted; null when there is none.</summary>
    public PartitionState? Newest => _states.Values.Where(static state => !state.IsDeleted).MaxBy(static state => state.Version);

    public PartitionState? Find(PartitionId id) => _states.GetValueOrDefault(id);

    /// <summary>The state of a partition of the topic that has the name now; null if none is known, or it was deleted.</summary>
    public PartitionState? Find(string topic, int partition) =>
        _names.TryGetValue(topic, out Guid id) && Find(new PartitionId(id, partition)) is { IsDeleted: false } state ? state : null;

    /// <summary>The topic that has the name now, as far as is known.</summary>
    public Guid? FindTopic(string name) => _names.TryGetValue(name, out Guid id) ? id : null;

    /// <summary>Grows with every change of a state of the topic; 0 while none is known.</summary>
    public long RevisionOf(Guid topicId) => _revisions.TryGetValue(topicId, out TopicRevision? topic) ? Volatile.Read(ref topic.Count) : 0;

    /// <summary>Takes over the states that are newer than what is known.</summary>
    public void Update(IReadOnlyList<PartitionState> states)
    {
        if (states.Count == 0)
            return;

        lock (_lock)
        {
            List<PartitionState>? newer = null;
            foreach (PartitionState state in states)
            {
                if (_states.TryGetValue(state.Id, out PartitionState? known) && known.Version >= state.Version)
                    continue;

                Store(state);
                (newer ??= []).Add(state);
            }

            // Under the lock, so that listeners hear of changes in their order; they only take note of them.
            if (newer is not null)
                Changed?.Invoke(newer);
        }
    }

    /// <summary>Forgets a partition that was deleted long ago.</summary>
    public void Forget(PartitionId id)
    {
        lock (_lock)
        {
            if (!_states.TryGetValue(id, out PartitionState? state) || !state.IsDeleted)
                return;

            _states.TryRemove(id, out _);
            _revisions.TryRemove(id.TopicId, out _);
            _names.TryRemove(new KeyValuePair<string, Guid>(state.Topic, id.TopicId));
        }
    }

    private void Store(PartitionState state)
    {
        _states[state.Id] = state;
        LatestVersion = Math.Max(LatestVersion, state.Version);
        TopicRevision topic = _revisions.GetOrAdd(state.Id.TopicId, static _ => new TopicRevision());
        topic.LatestVersion = Math.Max(topic.LatestVersion, state.Version);
        Interlocked.Increment(ref topic.Count);

        // A topic that was created later has later versions than any of the deleted one before its deletion.
        bool named = _names.TryGetValue(state.Topic, out Guid holder);
        if (!named || (holder != state.Id.TopicId && !state.IsDeleted
            && (!_revisions.TryGetValue(holder, out TopicRevision? other) || other.LatestVersion < topic.LatestVersion)))
        {
            _names[state.Topic] = state.Id.TopicId;
        }
    }

    private sealed class TopicRevision
    {
        public long Count;
        public long LatestVersion;
    }
}
