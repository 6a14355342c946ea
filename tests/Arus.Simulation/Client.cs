using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>What all clients do: find the leader as some broker sees it, ask, wait for an answer that may not come.</summary>
internal abstract class Client(ClusterSimulation simulation)
{
    protected const int TimeoutMs = 2_500;

    private readonly Dictionary<PartitionId, int> _leaders = [];

    protected ClusterSimulation Simulation => simulation;

    protected Cluster Cluster => simulation.Cluster;

    protected World World => simulation.Cluster.World;

    /// <summary>Whether nothing that it began is without an answer.</summary>
    public bool IsIdle { get; private set; } = true;

    /// <summary>Begins an operation when it has none, and comes back for the next.</summary>
    public void Live()
    {
        World.After(World.Between(10, simulation.PaceMs), Live);
        if (!IsIdle || !simulation.IsWorking || Cluster.Partitions.Count == 0)
            return;

        IsIdle = false;
        Begin(World.Pick(Cluster.Partitions));
    }

    protected abstract void Begin(PartitionId id);

    protected void End(Operation operation)
    {
        IsIdle = true;
        World.Statistics.Count(operation);
    }

    /// <summary>An operation on a partition that was deleted, or whose records nobody has any more, is given up.</summary>
    protected bool IsHopeless(PartitionId id) =>
        Cluster.History(id).IsDeleted || (!simulation.IsTroubled && !Cluster.HasSurvivor(id));

    /// <summary>Sends a request to the broker that is taken for the leader.</summary>
    /// <param name="ask">Given the way to answer.</param>
    /// <param name="answered">Null when no answer came.</param>
    protected void AskLeader(PartitionId id, Action<DataPath, Action<Answer>> ask, Action<Answer?> answered)
    {
        if (!_leaders.TryGetValue(id, out int leader) || leader < 0)
        {
            leader = World.Pick(Cluster.Brokers).Process?.LeaderOf(id) ?? -1;
            _leaders[id] = leader;
        }

        if (leader < 0)
        {
            World.After(World.Between(5, 50), () => answered(null));
            return;
        }

        Ask(leader, ask, answer =>
        {
            if (answer is null or { Error: not ErrorCode.None })
                _leaders.Remove(id);

            answered(answer);
        });
    }

    /// <summary>A broker that is down refuses at once; one that is paused lets its callers wait.</summary>
    protected void Ask(int broker, Action<DataPath, Action<Answer>> ask, Action<Answer?> answered)
    {
        Action fail = () => { };
        fail = Cluster.Network.Call<Answer>(
            Network.Client, Network.Client, TimeoutMs + 500,
            answer =>
            {
                if (Cluster.Brokers[broker].Process is { } process)
                    Cluster.Brokers[broker].Run(process, () => ask(process.Data, answer));
                else
                    fail();
            },
            answered);
    }
}
