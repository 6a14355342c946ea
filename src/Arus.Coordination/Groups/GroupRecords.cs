using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>Kafka's states of a classic group.</summary>
public enum GroupState : byte
{
    /// <summary>No members; committed offsets may remain.</summary>
    Empty = 0,

    /// <summary>Waits for the members to join the next generation.</summary>
    PreparingRebalance = 1,

    /// <summary>Waits for the leader's assignment.</summary>
    CompletingRebalance = 2,

    /// <summary>Every member has, or can have, its assignment.</summary>
    Stable = 3,

    /// <summary>There is no such group.</summary>
    Dead = 4,
}

/// <param name="ExpireAtMs">Unix milliseconds, or -1 to keep it as long as the group's retention says.</param>
/// <param name="TopicId">The topic that it is of; empty for an offset that a version stored which did not know.</param>
public readonly record struct StoredOffset(
    long Offset, int LeaderEpoch, string Metadata, long CommittedAtMs, long ExpireAtMs, Guid TopicId = default);

/// <summary>A transaction as a group knows it: who commits offsets in it.</summary>
/// <param name="CoordinatorEpoch">Of the transaction's coordinator, as the group knows it: markers of earlier ones are refused.</param>
public readonly record struct OffsetTransaction(long ProducerId, short ProducerEpoch, int CoordinatorEpoch);

/// <summary>An offset that is committed when its transaction is.</summary>
public readonly record struct PendingOffset(OffsetTransaction Transaction, StoredOffset Offset)
{
    public long ProducerId => Transaction.ProducerId;

    public short ProducerEpoch => Transaction.ProducerEpoch;
}

/// <summary>All that is stored of a partition; never nothing.</summary>
/// <param name="Committed">Null if none is.</param>
/// <param name="Pending">Those of open transactions, in the order in which they came.</param>
public readonly record struct StoredPartition(StoredOffset? Committed, IReadOnlyList<PendingOffset> Pending)
{
    public static implicit operator StoredPartition(StoredOffset committed) => new(committed, []);
}

/// <summary>Changes of a group to make durable, as one unit as far as the machine is concerned.</summary>
/// <param name="Clear">Forget all that was stored before, then apply the rest.</param>
/// <param name="Metadata">Null if it has not changed.</param>
/// <param name="Offsets">The partitions that changed, each as a whole; null for one to forget.</param>
public sealed record GroupRecords(
    bool Clear, GroupMetadata? Metadata, IReadOnlyList<KeyValuePair<TopicPartition, StoredPartition?>> Offsets);
