using Arus.Coordination.Replication;

namespace Arus.Coordination.Tests.Replication;

/// <summary>The database: states that change by compare-and-swap.</summary>
internal sealed class TestStore
{
    private readonly Dictionary<PartitionId, PartitionState> _rows = [];
    private long _version = 100;

    public IEnumerable<PartitionState> Rows => _rows.Values;

    public List<PartitionState> History { get; } = [];

    public PartitionState this[PartitionId id] => _rows[id];

    public PartitionState Put(PartitionState state)
    {
        state = state with { Version = ++_version };
        _rows[state.Id] = state;
        History.Add(state);
        return state;
    }

    public (SwapOutcome Outcome, PartitionState State) Swap(PartitionState proposed)
    {
        PartitionState row = _rows[proposed.Id];
        if (row.Version != proposed.Version)
            return (SwapOutcome.Lost, row);

        Assert.True(proposed.LeaderEpoch >= row.LeaderEpoch, "an epoch falls");
        bool keepsLeader = proposed.Leader == row.Leader || proposed.Leader == -1;
        Assert.True(proposed.LeaderEpoch > row.LeaderEpoch || keepsLeader, "two leaders in an epoch");
        if (proposed.LeaderEpoch > row.LeaderEpoch && !row.Isr.IsEmpty && !proposed.IsUnclean)
        {
            ReplicaId[] electable = [.. row.Isr, .. row.Elr];
            Assert.Contains(proposed.Isr, member => member.BrokerId == proposed.Leader && electable.Contains(member));
        }

        Assert.False(proposed.Isr.IsEmpty && !proposed.IsShared, "the isr is empty");
        return (SwapOutcome.Won, Put(proposed));
    }
}
