namespace Arus.Client;

/// <summary>A record was not delivered, or it is not known whether it was.</summary>
public sealed class ProduceException(ErrorCode code, TopicPartition partition, string message, Exception? innerException = null)
    : ArusException(code, message, innerException)
{
    /// <summary>The partition that the record was sent to.</summary>
    public TopicPartition Partition { get; } = partition;

    /// <summary>The record may have been appended although the call failed: its last attempt was not answered.</summary>
    public bool MayHaveBeenAppended { get; init; }
}

/// <summary>Reading a partition failed for good.</summary>
public sealed class ConsumeException(
    ErrorCode code, TopicPartition partition, long offset, string message, Exception? innerException = null)
    : ArusException(code, message, innerException)
{
    public TopicPartition Partition { get; } = partition;

    /// <summary>The offset that could not be read. To go on behind it: <c>Seek(e.Partition, e.Offset + 1)</c>.</summary>
    public long Offset { get; } = offset;
}

/// <summary>Offsets were not committed: a rebalance has given the partitions to other members, or the coordinator refused.</summary>
public sealed class CommitFailedException(ErrorCode code, string message) : ArusException(code, message);

/// <summary>The transaction cannot be committed any more. Abort it: the producer can begin the next one then.</summary>
public sealed class TransactionAbortableException(ErrorCode code, string message, Exception? innerException = null)
    : ArusException(code, message, innerException);

/// <summary>
/// Another producer has begun with the same transactional id, or the coordinator has ended a transaction of this one that took too long.
/// The producer can do nothing any more but be disposed.
/// </summary>
public sealed class ProducerFencedException(ErrorCode code, string message) : ArusException(code, message);

/// <summary>A serializer threw; the inner exception is what it threw.</summary>
public sealed class RecordSerializationException(string message, Exception innerException)
    : ArusException(ErrorCode.InvalidRecord, message, innerException)
{
    /// <summary>The record that could not be read; null when one could not be written.</summary>
    public TopicPartition? Partition { get; init; }

    /// <summary>The offset of the record that could not be read; -1 when one could not be written.</summary>
    public long Offset { get; init; } = -1;
}
