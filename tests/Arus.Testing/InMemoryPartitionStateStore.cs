using Arus.Coordination.Replication;
using Arus.Grains;

namespace Arus.Testing;

/// <summary>What becomes of the operations of an <see cref="InMemoryPartitionStateStore"/>.</summary>
public enum StoreFault
{
    None = 0,

    /// <summary>They fail, and have no effect.</summary>
    Away = 1,

    /// <summary>Changes take effect at once, and fail for their callers; reads fail.</summary>
    LosesAnswers = 2,

    /// <summary>
    /// Changes fail for their callers and take effect at <see cref="InMemoryPartitionStateStore.ApplyLate"/>; reads fail.
    /// </summary>
    AppliesLate = 3,
}

/// <summary>A database of partition states in memory, which all silos of a test share and which fails at will. Thread-safe.</summary>
public sealed class InMemoryPartitionStateStore(TimeProvider? time = null) : IPartitionStateStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<PartitionId, (PartitionState State, DateTimeOffset Changed)> _states = [];
    private readonly List<Action> _late = [];
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private long _lastVersion;
    private int _commits;

    public StoreFault Fault { get; set; }

    /// <summary>How many operations changed anything.</summary>
    public int Commits
    {
        get
        {
            lock (_gate)
                return _commits;
        }
    }

    /// <summary>Lets the changes take effect that failed under <see cref="StoreFault.AppliesLate"/>, in their order.</summary>
    public void ApplyLate()
    {
        lock (_gate)
        {
            _late.ForEach(change => change());
            _late.Clear();
        }
    }

    /// <summary>Keeps what there is now; the action that it answers puts that in the place of what there is then.</summary>
    public Action BackUp()
    {
        lock (_gate)
        {
            var kept = _states.ToArray();
            long version = _lastVersion;
            return () =>
            {
                lock (_gate)
                {
                    _states.Clear();
                    foreach ((PartitionId id, (PartitionState State, DateTimeOffset Changed) row) in kept)
                        _states.Add(id, row);

                    _lastVersion = version;
                }
            };
        }
    }

    public Task<IReadOnlyList<PartitionState>> ReadAsync(long afterVersion, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            return Fault != StoreFault.None
                ? Task.FromException<IReadOnlyList<PartitionState>>(Failure())
                : Task.FromResult<IReadOnlyList<PartitionState>>(
                    [.. All().Where(state => state.Version > afterVersion).OrderBy(state => state.Version)]);
        }
    }

    public Task<IReadOnlyList<PartitionState>> CreateAsync(
        IReadOnlyList<PartitionState> states, CancellationToken cancellationToken = default) =>
        ChangeAsync<IReadOnlyList<PartitionState>>(() =>
        {
            foreach (PartitionState state in states.Where(state => !_states.ContainsKey(state.Id)))
                Write(state with { IsDeleted = false });

            return [.. states.Select(state => _states[state.Id].State)];
        });

    public Task<StateSwapResult[]> SwapAsync(IReadOnlyList<PartitionState> proposed, CancellationToken cancellationToken = default)
    {
        if (proposed.Select(state => state.Id).Distinct().Count() != proposed.Count)
            throw new ArgumentException("A partition is there twice.", nameof(proposed));

        return ChangeAsync(() => proposed.Select(Swap).ToArray());
    }

    public Task<IReadOnlyList<PartitionState>> DeleteAsync(Guid topicId, CancellationToken cancellationToken = default) =>
        ChangeAsync<IReadOnlyList<PartitionState>>(() =>
        {
            foreach (PartitionState state in OfTopic().Where(state => !state.IsDeleted))
                Write(state with { IsDeleted = true });

            return OfTopic();

            PartitionState[] OfTopic() =>
                [.. All().Where(state => state.Id.TopicId == topicId).OrderBy(state => state.Id.Partition)];
        });

    public Task PurgeAsync(TimeSpan olderThan, CancellationToken cancellationToken = default) => ChangeAsync(() =>
    {
        DateTimeOffset limit = _time.GetUtcNow() - olderThan;
        foreach ((PartitionState state, DateTimeOffset changed) in _states.Values.ToArray())
        {
            if (state.IsDeleted && changed < limit)
                _states.Remove(state.Id);
        }

        return true;
    });

    private static IOException Failure() => new("the database is away, says the test");

    private IEnumerable<PartitionState> All() => _states.Values.Select(row => row.State);

    private StateSwapResult Swap(PartitionState proposed)
    {
        if (!_states.TryGetValue(proposed.Id, out (PartitionState State, DateTimeOffset Changed) row))
            return default;

        return row.State.IsDeleted || row.State.Version != proposed.Version
            ? new StateSwapResult(false, row.State)
            : new StateSwapResult(true, Write(proposed with { Topic = row.State.Topic, IsDeleted = false, IsShared = row.State.IsShared }));
    }

    private PartitionState Write(PartitionState state)
    {
        PartitionState written = state with { Version = ++_lastVersion };
        _states[state.Id] = (written, _time.GetUtcNow());
        return written;
    }

    private Task<T> ChangeAsync<T>(Func<T> change)
    {
        lock (_gate)
        {
            switch (Fault)
            {
                case StoreFault.Away:
                    return Task.FromException<T>(Failure());
                case StoreFault.AppliesLate:
                    _late.Add(() => Apply());
                    return Task.FromException<T>(Failure());
                case StoreFault.LosesAnswers:
                    Apply();
                    return Task.FromException<T>(Failure());
                default:
                    return Task.FromResult(Apply());
            }
        }

        T Apply()
        {
            long before = _lastVersion;
            T result = change();
            _commits += _lastVersion > before ? 1 : 0;
            return result;
        }
    }
}
