namespace Arus.Grains;

/// <summary>Assigns a topic's partitions to brokers. Pure: the same input gives the same assignment.</summary>
internal static class ReplicaPlacer
{
    public const int MaxPartitions = 10_000;

    /// <summary>The replicas of each partition of a new topic.</summary>
    /// <param name="liveBrokers">By id.</param>
    /// <param name="start">Where the rotation over the brokers begins; it differs between topics.</param>
    /// <param name="replicates">Whether there is replication: a single node has none.</param>
    /// <exception cref="ArusException">The partitions cannot be assigned as specified.</exception>
    public static int[][] Place(
        TopicSpec spec, int defaultPartitions, short defaultReplicationFactor, ReadOnlySpan<LiveBroker> liveBrokers, uint start,
        bool replicates = false)
    {
        if (spec.Assignments is { } assignments)
        {
            if ((spec.Partitions != -1 && spec.Partitions != assignments.Length) || spec.ReplicationFactor != -1)
            {
                throw new ArusException(
                    ErrorCode.InvalidRequest, "With an assignment, neither a number of partitions nor a replication factor may be given.");
            }

            CheckCount(assignments.Length, ErrorCode.InvalidReplicaAssignment);
            Check(assignments, assignments.Length > 0 ? assignments[0].Length : 0, liveBrokers);
            if (!replicates && assignments is [{ Length: > 1 }, ..])
                throw NoReplication($"The assignments name {assignments[0].Length} brokers each");

            return assignments;
        }

        int count = spec.Partitions == -1 ? defaultPartitions : spec.Partitions;
        CheckCount(count, ErrorCode.InvalidPartitions);
        short factor = spec.ReplicationFactor == -1 ? defaultReplicationFactor : spec.ReplicationFactor;
        CheckReplicationFactor(factor, liveBrokers.Length, replicates);
        return Rotate(count, factor, liveBrokers, start, 0);
    }

    /// <summary>The replicas of the partitions that are added when a topic grows to <paramref name="total"/>.</summary>
    /// <param name="factor">The replication factor of the partitions that it has.</param>
    /// <exception cref="ArusException">The partitions cannot be assigned as specified.</exception>
    public static int[][] PlaceAdded(
        int present, int factor, int total, int[][]? assignments, ReadOnlySpan<LiveBroker> liveBrokers, uint start)
    {
        if (total <= present)
        {
            string fault = total == present
                ? $"The topic already has {present} partitions."
                : $"The topic has {present} partitions and cannot shrink to {total}.";
            throw new ArusException(ErrorCode.InvalidPartitions, fault);
        }

        CheckCount(total, ErrorCode.InvalidPartitions);
        if (assignments is null)
        {
            CheckReplicationFactor(factor, liveBrokers.Length, replicates: true);
            return Rotate(total - present, factor, liveBrokers, start, present);
        }

        if (assignments.Length != total - present)
        {
            throw new ArusException(
                ErrorCode.InvalidReplicaAssignment,
                $"{total - present} partitions are added, but {assignments.Length} assignments were given.");
        }

        Check(assignments, factor, liveBrokers);
        return assignments;
    }

    /// <summary>
    /// The leaders go round over the brokers. So do the followers, beginning one further in each round, so that what one broker led is
    /// spread over all others when it dies. The brokers of a partition are of different racks as far as there are any.
    /// </summary>
    private static int[][] Rotate(int count, int factor, ReadOnlySpan<LiveBroker> liveBrokers, uint start, int first)
    {
        LiveBroker[] brokers = InterleaveRacks(liveBrokers);
        var replicas = new int[count][];
        for (int i = 0; i < count; i++)
        {
            uint turn = start + (uint)(first + i);
            int leader = (int)(turn % (uint)brokers.Length);
            uint round = turn / (uint)brokers.Length;
            LiveBroker[] followers =
            [
                .. Enumerable.Range(0, brokers.Length - 1)
                    .Select(j => brokers[(leader + 1 + (int)((round + (uint)j) % (uint)(brokers.Length - 1))) % brokers.Length]),
            ];
            replicas[i] = Choose(brokers[leader], followers, factor);
        }

        return replicas;
    }

    private static int[] Choose(LiveBroker leader, LiveBroker[] followers, int factor)
    {
        var racks = new HashSet<string?> { leader.Rack };
        var chosen = new List<int>(factor) { leader.Id };
        foreach (LiveBroker follower in followers)
        {
            if (chosen.Count < factor && racks.Add(follower.Rack))
                chosen.Add(follower.Id);
        }

        chosen.AddRange(followers.Select(follower => follower.Id).Where(id => !chosen.Contains(id)).Take(factor - chosen.Count).ToArray());
        return [.. chosen];
    }

    /// <summary>Neighbours are of different racks; as they are where some broker is not said to be in any.</summary>
    private static LiveBroker[] InterleaveRacks(ReadOnlySpan<LiveBroker> brokers)
    {
        LiveBroker[] all = brokers.ToArray();
        return Array.Exists(all, broker => broker.Rack is null) ? all :
        [
            .. all.GroupBy(broker => broker.Rack)
                .SelectMany(rack => rack.Select((broker, place) => (Broker: broker, Place: place)))
                .OrderBy(one => one.Place).ThenBy(one => one.Broker.Rack, StringComparer.Ordinal)
                .Select(one => one.Broker),
        ];
    }

    private static void CheckCount(int count, ErrorCode code)
    {
        if (count is < 1 or > MaxPartitions)
        {
            throw new ArusException(
                count > MaxPartitions ? ErrorCode.PolicyViolation : code,
                $"A topic of {count} partitions was requested; allowed: 1 to {MaxPartitions}.");
        }
    }

    private static void CheckReplicationFactor(int factor, int live, bool replicates)
    {
        if (live == 0)
            throw new ArusException(ErrorCode.BrokerNotAvailable, "No broker is registered and alive; try again when one is.");

        if (factor < 1)
        {
            throw new ArusException(
                ErrorCode.InvalidReplicationFactor,
                $"A replication factor of {factor} was requested; it has to be larger than 0, or -1 for the default.");
        }

        if (factor > 1 && !replicates)
            throw NoReplication($"A replication factor of {factor} was requested");

        if (factor > live)
        {
            throw new ArusException(
                ErrorCode.InvalidReplicationFactor,
                $"A replication factor of {factor} was requested, which cannot be reached: {live} brokers are registered and alive.");
        }
    }

    private static ArusException NoReplication(string wish) => new(
        ErrorCode.InvalidReplicationFactor, $"{wish}, but this is a single node, which keeps one replica; only a cluster replicates.");

    private static ArusException Wrong(int assignment, string fault) =>
        new(ErrorCode.InvalidReplicaAssignment, $"Assignment {assignment} {fault}.");

    private static void Check(int[][] assignments, int factor, ReadOnlySpan<LiveBroker> liveBrokers)
    {
        int[] live = Array.ConvertAll(liveBrokers.ToArray(), broker => broker.Id);
        for (int partition = 0; partition < assignments.Length; partition++)
        {
            int[] replicas = assignments[partition];
            if (replicas.Length == 0)
                throw Wrong(partition, "names no broker");

            if (replicas.Distinct().Count() < replicas.Length)
                throw Wrong(partition, "names a broker twice");

            foreach (int broker in replicas)
            {
                if (!live.Contains(broker))
                    throw Wrong(partition, $"names broker {broker}, which is not alive; allowed: {string.Join(", ", live)}");
            }

            if (replicas.Length != factor)
                throw Wrong(partition, $"names {replicas.Length} brokers, where the other partitions have {factor}");
        }
    }
}

/// <param name="Rack">Null where none is configured.</param>
internal readonly record struct LiveBroker(int Id, string? Rack);
