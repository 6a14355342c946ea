namespace Arus.Grains;

/// <summary>Assigns a topic's partitions to brokers. Pure: the same input gives the same assignment.</summary>
internal static class ReplicaPlacer
{
    public const int MaxPartitions = 10_000;

    /// <summary>The replicas of each partition of a new topic.</summary>
    /// <param name="liveBrokers">Ascending.</param>
    /// <param name="start">Where the rotation over the brokers begins; it differs between topics.</param>
    /// <exception cref="ArusException">The partitions cannot be assigned as specified.</exception>
    public static int[][] Place(
        TopicSpec spec, int defaultPartitions, short defaultReplicationFactor, ReadOnlySpan<int> liveBrokers, uint start)
    {
        if (spec.Assignments is { } assignments)
        {
            if ((spec.Partitions != -1 && spec.Partitions != assignments.Length) || spec.ReplicationFactor != -1)
            {
                throw new ArusException(
                    ErrorCode.InvalidRequest, "With an assignment, neither a number of partitions nor a replication factor may be given.");
            }

            CheckCount(assignments.Length, ErrorCode.InvalidReplicaAssignment);
            return Checked(assignments, liveBrokers);
        }

        int count = spec.Partitions == -1 ? defaultPartitions : spec.Partitions;
        CheckCount(count, ErrorCode.InvalidPartitions);
        short factor = spec.ReplicationFactor == -1 ? defaultReplicationFactor : spec.ReplicationFactor;
        CheckReplicationFactor(factor, liveBrokers.Length);
        return Rotate(count, liveBrokers, start, 0);
    }

    /// <summary>The replicas of the partitions that are added when a topic grows to <paramref name="total"/>.</summary>
    /// <exception cref="ArusException">The partitions cannot be assigned as specified.</exception>
    public static int[][] PlaceAdded(int present, int total, int[][]? assignments, ReadOnlySpan<int> liveBrokers, uint start)
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
            CheckReplicationFactor(1, liveBrokers.Length);
            return Rotate(total - present, liveBrokers, start, present);
        }

        if (assignments.Length != total - present)
        {
            throw new ArusException(
                ErrorCode.InvalidReplicaAssignment,
                $"{total - present} partitions are added, but {assignments.Length} assignments were given.");
        }

        return Checked(assignments, liveBrokers);
    }

    private static int[][] Rotate(int count, ReadOnlySpan<int> brokers, uint start, int first)
    {
        var replicas = new int[count][];
        for (int i = 0; i < count; i++)
            replicas[i] = [brokers[(int)((start + (uint)(first + i)) % (uint)brokers.Length)]];

        return replicas;
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

    private static void CheckReplicationFactor(int factor, int live)
    {
        if (live == 0)
            throw new ArusException(ErrorCode.BrokerNotAvailable, "No broker is registered and alive; try again when one is.");

        if (factor != 1)
        {
            string reason = factor < 1 ? "" : "replication is not there yet; ";
            throw new ArusException(
                ErrorCode.InvalidReplicationFactor,
                $"A replication factor of {factor} was requested; {reason}allowed: 1, or -1 for the default.");
        }
    }

    private static ArusException Wrong(int assignment, string fault) =>
        new(ErrorCode.InvalidReplicaAssignment, $"Assignment {assignment} {fault}.");

    private static int[][] Checked(int[][] assignments, ReadOnlySpan<int> liveBrokers)
    {
        for (int partition = 0; partition < assignments.Length; partition++)
        {
            int[] replicas = assignments[partition];
            if (replicas.Length == 0)
                throw Wrong(partition, "names no broker");

            if (replicas.Distinct().Count() < replicas.Length)
                throw Wrong(partition, "names a broker twice");

            foreach (int broker in replicas)
            {
                if (!liveBrokers.Contains(broker))
                {
                    throw Wrong(
                        partition, $"names broker {broker}, which is not alive; allowed: {string.Join(", ", liveBrokers.ToArray())}");
                }
            }

            if (replicas.Length != assignments[0].Length)
                throw Wrong(partition, $"names {replicas.Length} brokers, and the first one {assignments[0].Length}");
        }

        if (assignments is [{ Length: > 1 }, ..])
        {
            throw new ArusException(
                ErrorCode.InvalidReplicationFactor,
                $"The assignments name {assignments[0].Length} brokers each; replication is not there yet; allowed: one.");
        }

        return assignments;
    }
}
