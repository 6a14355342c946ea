using System.Collections.Immutable;
using Arus.Coordination.Replication;

namespace Arus.Grains;

/// <summary>What a reassignment makes of a partition's state, or why it is refused. Pure.</summary>
/// <param name="allowsFactorChange">Whether a partition may get more or fewer replicas than it has.</param>
internal sealed class ReassignmentCheck(HashSet<int> liveBrokers, bool allowsFactorChange = true)
{
    /// <exception cref="ArusException"><see cref="ErrorCode.NoReassignmentInProgress"/>.</exception>
    public static PartitionState Cancel(PartitionState state) => !state.Target.IsEmpty
        ? state with { Target = [] }
        : throw new ArusException(ErrorCode.NoReassignmentInProgress, "No reassignment of the partition is under way.");

    /// <param name="wanted">The preferred leader first.</param>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidReplicaAssignment"/> or <see cref="ErrorCode.InvalidReplicationFactor"/>.
    /// </exception>
    public PartitionState Reassign(PartitionState state, ImmutableArray<int> wanted)
    {
        Check(state, wanted);
        bool isReordered = wanted.Length == state.Replicas.Length && wanted.All(state.Replicas.Contains);

        // Nobody has to fetch anything where the brokers stay the same, or where the log is in the database.
        return isReordered || state.IsShared
            ? state with { Replicas = wanted, Target = [] }
            : state with { Target = wanted };
    }

    private void Check(PartitionState state, ImmutableArray<int> wanted)
    {
        if (wanted.IsEmpty)
            throw new ArusException(ErrorCode.InvalidReplicaAssignment, "The assignment names no broker.");

        if (wanted.Distinct().Count() < wanted.Length)
            throw new ArusException(ErrorCode.InvalidReplicaAssignment, "The assignment names a broker twice.");

        foreach (int broker in wanted.Where(broker => !liveBrokers.Contains(broker) && !state.Replicas.Contains(broker)))
        {
            throw new ArusException(
                ErrorCode.InvalidReplicaAssignment,
                $"The assignment names broker {broker}, which is not alive; allowed: {string.Join(", ", liveBrokers.Order())}.");
        }

        if (!allowsFactorChange && wanted.Length != state.Replicas.Length)
        {
            throw new ArusException(
                ErrorCode.InvalidReplicationFactor,
                $"The assignment names {wanted.Length} brokers, the partition has {state.Replicas.Length}; the request allows no change.");
        }
    }
}
