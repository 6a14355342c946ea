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
    /// <exception cref="InvalidOperationException">The producer has a transactional id, and no transaction is open.</exception>
    /// <exception cref="TransactionAbortableException">The open transaction has failed.</exception>
    ValueTask<PendingDelivery> EnqueueAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default);

    /// <summary>Appends a record and answers when it is acknowledged as <see cref="ProducerOptions.Acks"/> asks.</summary>
    /// <param name="cancellationToken">Ends the wait; a record that is in the buffer already is still delivered.</param>
    /// <exception cref="ProduceException">It was not appended, or that is not known; the code tells.</exception>
    Task<DeliveryResult> ProduceAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default);

    /// <summary>Sends what is in the buffer without lingering, and answers when all of it is acknowledged or has failed.</summary>
    Task FlushAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes a producer that has a <see cref="ProducerOptions.TransactionalId"/> ready for transactions; to be called once. Earlier
    /// producers with the same id are fenced, and a transaction that they left open is aborted.
    /// </summary>
    /// <exception cref="InvalidOperationException">There is no transactional id, or this was done already.</exception>
    /// <exception cref="ArusException">The coordinator refused, or did not answer in time; then it can be tried again.</exception>
    Task InitTransactionsAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Opens a transaction: all records that are produced, and offsets that are sent, until its end count together, or not at all. One can
    /// be open at a time. It has to end within <see cref="ProducerOptions.TransactionTimeout"/>.
    /// </summary>
    /// <exception cref="InvalidOperationException">Transactions are not initialized, or one is open.</exception>
    /// <exception cref="ProducerFencedException">Another producer has taken this one's place.</exception>
    void BeginTransaction();

    /// <summary>Commits offsets of a consumer's group with the open transaction: of each partition, the next record to read.</summary>
    /// <param name="offsets">They count when the transaction is committed. The consumer must not commit them itself.</param>
    /// <param name="consumer">What <see cref="IConsumer{TKey, TValue}.GroupMetadata"/> says now.</param>
    /// <exception cref="CommitFailedException">The consumer has lost its partitions to others; abort the transaction.</exception>
    /// <exception cref="TransactionAbortableException">The offsets were refused; abort the transaction.</exception>
    /// <exception cref="ProducerFencedException">Another producer has taken this one's place.</exception>
    Task SendOffsetsToTransactionAsync(
        IReadOnlyCollection<TopicPartitionOffset> offsets, ConsumerGroupMetadata consumer, CancellationToken cancellationToken = default);

    /// <summary>
    /// Sends what is in the buffer, and commits the open transaction. Consumers with
    /// <see cref="IsolationLevel.ReadCommitted"/> read its records from then on.
    /// </summary>
    /// <exception cref="TransactionAbortableException">
    /// A record or offset of it was not accepted: nothing is committed; abort it.
    /// </exception>
    /// <exception cref="ProducerFencedException">Another producer has taken this one's place; nothing is committed.</exception>
    /// <exception cref="ArusException">The coordinator did not answer in time. Call again to find out.</exception>
    Task CommitTransactionAsync(CancellationToken cancellationToken = default);

    /// <summary>Aborts the open transaction. Its records that were not sent yet fail.</summary>
    /// <exception cref="ProducerFencedException">
    /// Another producer has taken this one's place; the transaction is aborted all the same.
    /// </exception>
    /// <exception cref="ArusException">The coordinator did not answer in time. Call again.</exception>
    Task AbortTransactionAsync(CancellationToken cancellationToken = default);
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
