using Arus.Coordination.Replication;

namespace Arus.Simulation;

/// <summary>Reads every partition from its beginning, from the leader or a follower, and follows failovers.</summary>
internal sealed class Reader(ClusterSimulation simulation, bool fromFollowers) : Client(simulation)
{
    private readonly Dictionary<PartitionId, long> _positions = [];

    /// <summary>The last unclean election of which the position knows.</summary>
    private readonly Dictionary<PartitionId, int> _uncleanEpochs = [];

    /// <summary>Whether all that was committed of the partitions was read.</summary>
    public bool IsAtEnd => Cluster.Partitions.TrueForAll(
        id => _positions.GetValueOrDefault(id) >= Cluster.History(id).CommittedEnd || !Cluster.HasSurvivor(id));

    protected override void Begin(PartitionId id)
    {
        PartitionHistory history = Cluster.History(id);
        long position = _positions.GetValueOrDefault(id);
        if (_uncleanEpochs.GetValueOrDefault(id, -1) != history.UncleanEpoch)
        {
            _uncleanEpochs[id] = history.UncleanEpoch;
            _positions[id] = position = Math.Min(position, history.CommittedEnd);
        }

        if (fromFollowers && World.Chance(0.5))
        {
            Ask(World.Pick(Cluster.Brokers).Id, (data, answer) => data.Fetch(id, position, true, answer), answer =>
                Answered(id, position, answer, Operation.FetchFromFollower));
        }
        else
        {
            AskLeader(id, (data, answer) => data.Fetch(id, position, false, answer), answer =>
                Answered(id, position, answer, Operation.Fetch));
        }
    }

    private void Answered(PartitionId id, long position, Answer? answer, Operation operation)
    {
        PartitionHistory history = Cluster.History(id);
        if (answer is not null && (history.IsVoid(answer.Epoch) || _uncleanEpochs.GetValueOrDefault(id, -1) != history.UncleanEpoch))
            answer = null;

        if (answer is { Error: ErrorCode.None, Batches: { } batches } && !history.IsDeleted)
        {
            foreach (StoredBatch batch in batches)
                Check(history, batch, ref position);

            _positions[id] = position;
            history.MakeVisible(position);
        }
        else if (answer is { Error: ErrorCode.OffsetOutOfRange } && !history.IsDeleted)
        {
            if (position >= history.DeletedUpTo)
                throw ViolationException.Safety(8, $"{history.Name}: position {position} was served, and is out of range");

            _positions[id] = history.DeletedUpTo;
        }

        End(operation);
    }

    /// <summary>Invariant 8: what is read is what was committed, without a gap.</summary>
    private static void Check(PartitionHistory history, StoredBatch batch, ref long position)
    {
        if (batch.Next <= history.DeletedUpTo)
        {
            position = Math.Max(position, batch.Next);
            return;
        }

        if (history.CommittedAt(batch.Offset) is var committed && committed != batch)
            throw ViolationException.Safety(8, $"{history.Name}: {batch} is read, committed is {committed}");

        if (batch.Offset > position && position >= history.DeletedUpTo)
            throw ViolationException.Safety(8, $"{history.Name}: {batch} is read at {position}");

        position = batch.Next;
    }
}

/// <summary>Asks for latest offsets: whatever a client has seen before it asks lies below.</summary>
internal sealed class OffsetAsker(ClusterSimulation simulation) : Client(simulation)
{
    protected override void Begin(PartitionId id)
    {
        PartitionHistory history = Cluster.History(id);
        (long seen, int uncleanEpoch) = (history.VisibleEnd, history.UncleanEpoch);
        AskLeader(id, (data, answer) => data.LatestOffset(id, answer), answer =>
        {
            bool isVoid = answer is not null && (history.IsVoid(answer.Epoch) || history.UncleanEpoch != uncleanEpoch);
            if (answer is { Error: ErrorCode.None } && !history.IsDeleted && !isVoid)
            {
                if (answer.Offset < seen)
                    throw ViolationException.Safety(7, $"{history.Name}: the latest offset is {answer.Offset}, {seen} was seen before");

                history.MakeVisible(answer.Offset);
            }

            End(Operation.LatestOffset);
        });
    }
}

/// <summary>Moves leaderships, deletes records, deletes and creates topics.</summary>
internal sealed class Administrator(ClusterSimulation simulation) : Client(simulation)
{
    private int _topics;

    protected override void Begin(PartitionId id)
    {
        double choice = World.Random.NextDouble();
        if (choice < 0.6)
            Move(id);
        else if (choice < 0.95 || Cluster.Database.Away > 0)
            DeleteRecords(id);
        else
            ReplaceTopic(id);
    }

    private void Move(PartitionId id)
    {
        PartitionState row = Cluster.Database.Row(id);
        int target = World.Pick(row.Replicas);
        if (row.Leader >= 0 && target != row.Leader && Cluster.Brokers[row.Leader].Process is { } process)
            Cluster.Brokers[row.Leader].Run(process, () => process.MoveLeadership(id, target));

        End(Operation.MoveLeadership);
    }

    private void DeleteRecords(PartitionId id) =>
        AskLeader(id, (data, answer) => data.DeleteRecords(id, answer), _ => End(Operation.DeleteRecords));

    /// <summary>The new topic has the old one's name, half of the time.</summary>
    private void ReplaceTopic(PartitionId id)
    {
        string name = Cluster.Database.Row(id).Topic;
        int partitions = Cluster.Partitions.Count(other => other.TopicId == id.TopicId);
        PartitionHistory history = Cluster.History(id);
        Cluster.DeleteTopic(id.TopicId);
        World.Statistics.Count(Operation.DeleteTopic);
        Cluster.CreateTopic(new TopicPlan(
            World.Chance(0.5) ? name : $"new{++_topics}", partitions, history.Topic.ReplicationFactor, history.Topic.MinInSyncReplicas,
            history.Topic.AllowsUnclean));
        End(Operation.CreateTopic);
    }
}
