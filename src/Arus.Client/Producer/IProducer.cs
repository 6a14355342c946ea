namespace Arus.Client;

/// <summary>
/// Appends records to topics, in batches, in the background. Thread-safe: one producer for a process is usual, and batches best.
/// Records of one partition are appended in the order in which they were enqueued.
/// </summary>
public interface IProducer<TKey, TValue> : IAsyncDisposable
{
    /// <summary>
    /// Takes a record into the buffer and answers as soon as it is there: at once, unless the topic is not known yet or the buffer
    /// is full. The answer can be awaited for the delivery, or dropped.
    /// </summary>
    /// <exception cref="ArusException">The topic does not exist, the record is too large, or the buffer had no room for
    /// <see cref="ProducerOptions.MaxBlock"/> (<see cref="ErrorCode.RequestTimedOut"/>).</exception>
    /// <exception cref="RecordSerializationException">A serializer threw.</exception>
    /// <exception cref="ObjectDisposedException">The producer was disposed.</exception>
    ValueTask<PendingDelivery> EnqueueAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default);

    /// <summary>Appends a record and answers when it is acknowledged as <see cref="ProducerOptions.Acks"/> asks.</summary>
    /// <param name="cancellationToken">Ends the wait; a record that is in the buffer already is still delivered.</param>
    /// <exception cref="ProduceException">It was not appended, or that is not known; the code tells.</exception>
    Task<DeliveryResult> ProduceAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default);

    /// <summary>Sends what is in the buffer without lingering, and answers when all of it is acknowledged or has failed.</summary>
    Task FlushAsync(CancellationToken cancellationToken = default);
}

/// <summary>A record to append.</summary>
/// <param name="Topic">The topic's name.</param>
/// <param name="Key">Null for none: then any partition will do, and the producer fills batches one partition at a time.</param>
/// <param name="Value">Null deletes the key from a compacted topic.</param>
public readonly record struct ProducerRecord<TKey, TValue>(string Topic, TKey? Key, TValue? Value)
{
    /// <summary>Null lets the partitioner choose.</summary>
    public int? Partition { get; init; }

    /// <summary>Null for now. Kept in milliseconds.</summary>
    public DateTimeOffset? Timestamp { get; init; }

    /// <summary>Null for none.</summary>
    public RecordHeader[]? Headers { get; init; }
}

/// <summary>Where a record is.</summary>
/// <param name="Partition">Its topic and partition.</param>
/// <param name="Offset">-1 when it is not known: with acks=0, and for some duplicates.</param>
/// <param name="TimestampMs">Unix milliseconds: the record's own, or the leader's under LogAppendTime.</param>
public readonly record struct DeliveryResult(TopicPartition Partition, long Offset, long TimestampMs);
