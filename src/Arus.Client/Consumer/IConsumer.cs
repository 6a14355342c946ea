global using RawRecord = Arus.Client.ConsumeResult<System.ReadOnlyMemory<byte>?, System.ReadOnlyMemory<byte>?>;
using System.Text.RegularExpressions;
using Arus.Grains;

namespace Arus.Client;

/// <summary>
/// Reads the records of partitions that are assigned by hand or by the group. It fetches in the background, within
/// <see cref="ConsumerOptions.FetchMaxBytes"/>. One thread at a time may poll or enumerate; all other members are thread-safe.
/// </summary>
/// <remarks>
/// Disposing leaves the group. Unlike Kafka's <c>close</c> it does not take the records of the last poll for processed, since an
/// exception may be what ended the work on them: commit or unsubscribe first to say that they are.
/// </remarks>
public interface IConsumer<TKey, TValue> : IAsyncDisposable
{
    /// <summary>The partitions that are assigned now.</summary>
    IReadOnlyList<TopicPartition> Assignment { get; }

    /// <summary>The member id in the group; empty outside of one.</summary>
    string MemberId { get; }

    /// <summary>
    /// What a producer has to know of the group to commit this consumer's offsets in its transactions
    /// (<see cref="IProducer{TKey, TValue}.SendOffsetsToTransactionAsync"/>), as of now.
    /// </summary>
    /// <exception cref="InvalidOperationException">There is no <see cref="ConsumerOptions.GroupId"/>.</exception>
    ConsumerGroupMetadata GroupMetadata { get; }

    /// <summary>Lets the group divide these topics among its members. Replaces an earlier subscription.</summary>
    /// <exception cref="InvalidOperationException">
    /// There is no <see cref="ConsumerOptions.GroupId"/>, or partitions were assigned by hand.
    /// </exception>
    void Subscribe(params IReadOnlyCollection<string> topics);

    /// <summary>
    /// Lets the group divide all topics whose names <paramref name="pattern"/> matches (<see cref="Regex.IsMatch(string)"/>: anchor it
    /// to match whole names). Topics that come or go later are noticed within <see cref="ConsumerOptions.MetadataMaxAge"/>; internal
    /// topics never match. The group is joined as soon as there is a topic. Replaces an earlier subscription.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// There is no <see cref="ConsumerOptions.GroupId"/>, or partitions were assigned by hand.
    /// </exception>
    void Subscribe(Regex pattern);

    /// <summary>Ends the subscription and leaves the group.</summary>
    Task UnsubscribeAsync(CancellationToken cancellationToken = default);

    /// <summary>Reads these partitions, each from the offset given, and no others. Replaces an earlier assignment.</summary>
    /// <exception cref="InvalidOperationException">There is a subscription.</exception>
    void Assign(params IReadOnlyCollection<TopicPartitionOffset> partitions);

    /// <summary>
    /// The next records, at least one, at most <see cref="ConsumerOptions.MaxPollRecords"/>; none when <paramref name="timeout"/> passes
    /// first. The next poll marks them as processed, and auto-commit commits what is processed.
    /// </summary>
    /// <param name="timeout">0 answers at once; <see cref="Timeout.InfiniteTimeSpan"/> waits for a record.</param>
    /// <exception cref="ConsumeException">
    /// A partition has no offset to begin at, or a damaged record. The next poll reads the other partitions.
    /// </exception>
    /// <exception cref="RecordSerializationException">A record could not be deserialized; the next poll begins after it.</exception>
    /// <exception cref="ArusException">The group ended the membership.</exception>
    ValueTask<IReadOnlyList<ConsumeResult<TKey, TValue>>> PollAsync(TimeSpan timeout, CancellationToken cancellationToken = default);

    /// <summary>
    /// All records from now on, without end. The request for the next record marks the one before as processed. It ends with
    /// <see cref="OperationCanceledException"/> when cancelled.
    /// </summary>
    IAsyncEnumerable<ConsumeResult<TKey, TValue>> ConsumeAsync(CancellationToken cancellationToken = default);

    /// <summary>Sets the position to <paramref name="offset"/>, or to <see cref="TopicPartitionOffset.Beginning"/> and its like.</summary>
    /// <exception cref="InvalidOperationException">The partition is not assigned.</exception>
    void Seek(TopicPartition partition, long offset);

    /// <summary>Delivers no records of these until <see cref="Resume"/>; a rebalance that takes a partition away forgets it.</summary>
    void Pause(params IReadOnlyCollection<TopicPartition> partitions);

    void Resume(params IReadOnlyCollection<TopicPartition> partitions);

    /// <summary>The offset of the next record that a poll will deliver; null while it is not determined.</summary>
    long? Position(TopicPartition partition);

    /// <summary>High watermark minus position, as of the last fetch; null while that is not known.</summary>
    long? Lag(TopicPartition partition);

    /// <summary>
    /// Of each partition, the offset of the first record of that time or later, to seek to; <see cref="TopicPartitionOffset.End"/> where
    /// none is so late.
    /// </summary>
    Task<IReadOnlyList<TopicPartitionOffset>> OffsetsForTimeAsync(
        IReadOnlyCollection<TopicPartition> partitions, DateTimeOffset time, CancellationToken cancellationToken = default);

    /// <summary>Commits the positions after all records delivered so far.</summary>
    /// <exception cref="CommitFailedException">A rebalance gave the partitions to other members, or the coordinator refused.</exception>
    Task CommitAsync(CancellationToken cancellationToken = default);

    /// <summary>Commits these offsets: of each partition, the next record that should be read.</summary>
    /// <exception cref="CommitFailedException">A rebalance gave the partitions to other members, or the coordinator refused.</exception>
    Task CommitAsync(IReadOnlyCollection<TopicPartitionOffset> offsets, CancellationToken cancellationToken = default);

    /// <summary>What the group has committed; offset -1 where there is none.</summary>
    Task<IReadOnlyList<CommittedOffset>> CommittedAsync(
        IReadOnlyCollection<TopicPartition> partitions, CancellationToken cancellationToken = default);
}

/// <summary>A place in a partition.</summary>
/// <param name="Offset">0 or more, or one of the constants.</param>
public readonly record struct TopicPartitionOffset(TopicPartition Partition, long Offset)
{
    /// <summary>The first record that there is.</summary>
    public const long Beginning = -2;

    /// <summary>Behind the last record that there is.</summary>
    public const long End = -1;

    /// <summary>What the group has committed; otherwise as <see cref="ConsumerOptions.AutoOffsetReset"/> says.</summary>
    public const long Stored = -1000;

    public TopicPartitionOffset(string topic, int partition, long offset) : this(new TopicPartition(topic, partition), offset)
    {
    }
}

/// <summary>A record that was read.</summary>
/// <param name="Partition">Its topic and partition.</param>
/// <param name="Offset">Its place in the partition.</param>
/// <param name="LeaderEpoch">The leader epoch in which it was appended.</param>
/// <param name="TimestampMs">Unix milliseconds; -1 for none.</param>
/// <param name="TimestampType">Whose clock that is.</param>
/// <param name="Key"><c>default</c> for a null key.</param>
/// <param name="Value"><c>default</c> for a null value.</param>
/// <param name="Headers">Decoded when they are enumerated.</param>
public readonly record struct ConsumeResult<TKey, TValue>(
    TopicPartition Partition, long Offset, int LeaderEpoch, long TimestampMs, TimestampType TimestampType, TKey? Key, TValue? Value,
    RecordHeaders Headers)
{
    public string Topic => Partition.Topic;

    public DateTimeOffset Timestamp => DateTimeOffset.FromUnixTimeMilliseconds(TimestampMs);

    /// <exception cref="RecordSerializationException">A serializer threw.</exception>
    internal static ConsumeResult<TKey, TValue> Deserialize(
        in RawRecord raw, IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer)
    {
        try
        {
            return new ConsumeResult<TKey, TValue>(
                raw.Partition, raw.Offset, raw.LeaderEpoch, raw.TimestampMs, raw.TimestampType,
                raw.Key is { } key ? keySerializer.Deserialize(key) : default,
                raw.Value is { } value ? valueSerializer.Deserialize(value) : default, raw.Headers);
        }
        catch (Exception e)
        {
            throw new RecordSerializationException(
                $"The record at offset {raw.Offset} of {raw.Partition} could not be deserialized to {typeof(TKey)} and {typeof(TValue)}: "
                + e.Message, e) { Partition = raw.Partition, Offset = raw.Offset };
        }
    }
}
