using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>The brokers, what lies between them, and what is known of every partition.</summary>
internal sealed class Cluster
{
    private readonly Dictionary<PartitionId, PartitionHistory> _histories = [];
    private long _lives;

    public Cluster(World world, Bug bug)
    {
        World = world;
        Bug = bug;
        Plan = new SeedPlan(world);
        LogConfig = TopicConfig.Resolve(
            new Dictionary<string, string>
            {
                ["segment.bytes"] = Plan.RetentionBytes > 0 ? "2048" : "4096",
                ["retention.ms"] = $"{Plan.RetentionMs}",
                ["retention.bytes"] = $"{Plan.RetentionBytes}",
            },
            BrokerConfig.Default);
        Network = new Network(world, Plan.Brokers);
        Database = new Database(world, this);
        Brokers = [.. Enumerable.Range(0, Plan.Brokers).Select(id => new Broker(this, id))];
        Membership = new Membership(this);
    }

    public World World { get; }

    public Bug Bug { get; }

    public SeedPlan Plan { get; }

    public Network Network { get; }

    /// <summary>Of every log; its replication is configured beside it.</summary>
    public TopicConfig LogConfig { get; }

    public Database Database { get; }

    public Membership Membership { get; }

    public IReadOnlyList<Broker> Brokers { get; }

    public IEnumerable<PartitionHistory> Histories => _histories.Values;

    /// <summary>The partitions that were not deleted.</summary>
    public List<PartitionId> Partitions { get; } = [];

    public PartitionHistory History(PartitionId id) => _histories[id];

    public long NextLife() => ++_lives;

    public void CreateTopic(TopicPlan topic)
    {
        Guid topicId = World.NewId();
        int first = World.Random.Next(Plan.Brokers);
        for (int i = 0; i < topic.Partitions; i++)
        {
            int partition = i;
            var state = new PartitionState(
                topic.Name, new PartitionId(topicId, partition), 0, -1, -1,
                [.. Enumerable.Range(0, topic.ReplicationFactor).Select(r => (first + partition + r) % Plan.Brokers)], [], []);
            _histories[state.Id] = new PartitionHistory(this, state, topic);
            Database.Create(state);
            Partitions.Add(state.Id);
        }
    }

    public void DeleteTopic(Guid topicId)
    {
        foreach (PartitionId id in Partitions.Where(id => id.TopicId == topicId).ToArray())
        {
            Partitions.Remove(id);
            History(id).IsDeleted = true;
            Database.Delete(id);
        }
    }

    /// <summary>The last log that a broker had open.</summary>
    public SimulatedLog? LogOf(int broker, PartitionId id) => Brokers[broker].Logs.GetValueOrDefault(id);

    /// <summary>The logs of those who serve in the newest epoch that was served, unless that is no newer than the given one.</summary>
    public IEnumerable<SimulatedLog> SuccessorLogs(PartitionId id, int epoch)
    {
        int serving = History(id).ServingEpoch;
        foreach (Broker broker in Brokers)
        {
            if (serving > epoch
                && broker.Process?.Replicas.GetValueOrDefault(id) is { Log: { } log, View.Role: ReplicaRole.Leader } replica
                && replica.View.State.LeaderEpoch == serving)
            {
                yield return log;
            }
        }
    }

    /// <summary>The broker that serves in the epoch of the stored state; null while none does.</summary>
    public Replica? ServingLeader(PartitionId id)
    {
        PartitionState row = Database.Row(id);
        return row.Leader >= 0 && !Brokers[row.Leader].IsPaused
            && Brokers[row.Leader].Process?.Replicas.GetValueOrDefault(id) is { Log: not null, View.Role: ReplicaRole.Leader } replica
            && replica.View.State.LeaderEpoch == row.LeaderEpoch
                ? replica
                : null;
    }

    /// <summary>
    /// Whether anybody still has all that was acknowledged: with flush=os, machines that lost power together may have it lost.
    /// </summary>
    public bool HasSurvivor(PartitionId id)
    {
        PartitionState row = Database.Row(id);
        return row.LeaderEpoch < 0 || row.Isr.Concat(row.Elr).Any(IsIntact);

        bool IsIntact(ReplicaId member) =>
            LogOf(member.BrokerId, id) is { } log && log.LogId == member.LogId && !Brokers[member.BrokerId].IsLost(log);
    }
}
