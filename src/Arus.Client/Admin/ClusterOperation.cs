namespace Arus.Client;

/// <summary>Who is to lead (KIP-460).</summary>
public enum LeaderElectionType : byte
{
    /// <summary>The first of the replicas, if it is in sync.</summary>
    Preferred = 0,

    /// <summary>Where nobody can who is in sync: whoever is there. Records may be lost.</summary>
    Unclean = 1,
}

/// <summary>What became of an operation on one partition.</summary>
/// <param name="Message">Says more than the error; null where there is none.</param>
public sealed record PartitionOutcome(TopicPartition Partition, ErrorCode Error, string? Message);

/// <summary>Other replicas for a partition.</summary>
/// <param name="Replicas">The brokers, the preferred leader first; null cancels the reassignment that is under way.</param>
public sealed record NewReassignment(TopicPartition Partition, IReadOnlyList<int>? Replicas);

/// <summary>A reassignment that is under way.</summary>
/// <param name="Replicas">All who keep the partition until it is over.</param>
/// <param name="Adding">Those who fetch what they lack.</param>
/// <param name="Removing">Those who leave once all others are in sync.</param>
public sealed record PartitionReassignment(
    TopicPartition Partition, IReadOnlyList<int> Replicas, IReadOnlyList<int> Adding, IReadOnlyList<int> Removing);

/// <summary>How partitions are spread over brokers.</summary>
/// <param name="Leaderless">Partitions that nobody leads now.</param>
/// <param name="UnderReplicated">Those with fewer replicas in sync than replicas.</param>
/// <param name="Reassigning">Those whose reassignment is under way.</param>
/// <param name="Brokers">All that are alive or keep a partition, by id.</param>
/// <param name="IsPaused">Nothing is moved for the sake of an even spread.</param>
/// <param name="ExcessReplicas">Replicas above their brokers' even share; 0 where the spread is even enough.</param>
/// <param name="ExcessLeaders">Preferred leaderships above their brokers' even share; 0 where the spread is even enough.</param>
public sealed record ClusterBalance(
    int Partitions, int Leaderless, int UnderReplicated, int Reassigning, IReadOnlyList<BrokerBalance> Brokers, bool IsPaused,
    int ExcessReplicas, int ExcessLeaders);

/// <param name="Leaders">Partitions that it leads.</param>
/// <param name="Replicas">Partitions that it keeps, or is to keep, the led ones included.</param>
/// <param name="OutOfSync">Of these, those of which it is not in sync.</param>
/// <param name="IsDraining">It is to give away what it leads and keeps.</param>
/// <param name="Remaining">Of a draining broker: leaderships and replicas that it still has to give away.</param>
public sealed record BrokerBalance(
    int BrokerId, bool IsAlive, string? Rack, int Leaders, int Replicas, int OutOfSync, bool IsDraining, int Remaining);
