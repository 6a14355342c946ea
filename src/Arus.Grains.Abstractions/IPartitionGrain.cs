using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The leader of one partition. The key is <see cref="PartitionKey.Format"/>. Calls interleave: an append waits for its group
/// commit, and a fetch for records, without holding a turn.
/// </summary>
/// <remarks>
/// A call names the topic's id, so that one which was meant for a topic that is deleted by now does not reach another topic of the same
/// name: it is refused with <see cref="ErrorCode.UnknownTopicId"/>. Without an id (<see cref="Guid.Empty"/>) the name alone counts.
/// <para>
/// Bytes travel without copies inside a silo: a caller leaves the memory of a request alone until the reply (for good, if the call
/// failed or timed out), and never writes to the memory of a response.
/// </para>
/// </remarks>
[Alias("arus.IPartitionGrain")]
public interface IPartitionGrain : IGrainWithStringKey
{
    /// <summary>
    /// Appends in the order of <see cref="PartitionAppend.Entries"/> and answers when all that was accepted is durable to the
    /// configured degree. Calls made one after the other, without waiting, may be applied in any order.
    /// </summary>
    [Alias("Append"), AlwaysInterleave]
    Task<PartitionAppendResult> AppendAsync(PartitionAppend request);

    /// <summary>
    /// Ends a producer's transaction in the partition, and answers when the marker is below the high watermark; a marker that is sent again
    /// is not refused. <see cref="ErrorCode.InvalidProducerEpoch"/>: a later epoch of the producer was seen.
    /// <see cref="ErrorCode.TransactionCoordinatorFenced"/>: a later one of its coordinator. Anything else: send it again.
    /// </summary>
    [Alias("WriteMarker"), AlwaysInterleave]
    Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker);

    /// <summary>Reads record batches; at the end of the log it waits for more, up to <see cref="PartitionRead.MaxWaitMs"/>.</summary>
    [Alias("Fetch"), AlwaysInterleave]
    Task<PartitionReadResult> FetchAsync(PartitionRead request);

    /// <summary>
    /// Waits until the high watermark, or for committed records the last stable offset, passes an offset, as a delayed fetch does before it
    /// reads.
    /// </summary>
    [Alias("WaitForOffset"), AlwaysInterleave]
    Task<PartitionOffsets> WaitForOffsetAsync(PartitionWait request);

    [Alias("ListOffset"), AlwaysInterleave]
    Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request);

    /// <summary>Where an epoch ended (KIP-101): the first offset of the next epoch, or the log's end for the current one.</summary>
    [Alias("EpochEnd"), AlwaysInterleave]
    Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch, Guid topicId = default);

    /// <summary>Removes all before <paramref name="beforeOffset"/>; -1 stands for the high watermark. Answers the new log start.</summary>
    [Alias("DeleteRecords")]
    Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset, Guid topicId = default);

    [Alias("Describe"), AlwaysInterleave]
    Task<PartitionDescription> DescribeAsync();

    /// <summary>The idempotent producers that the partition remembers.</summary>
    [Alias("DescribeProducers"), AlwaysInterleave]
    Task<PartitionProducers> DescribeProducersAsync(Guid topicId = default);

    /// <summary>The topic's configuration changed: read it again.</summary>
    [Alias("Reconfigure")]
    Task ReconfigureAsync();

    /// <summary>Deletes the partition's records and state. Only the topic grain calls it.</summary>
    /// <param name="topicId">Of the topic that is deleted: what belongs to another one of the same name stays.</param>
    [Alias("Delete")]
    Task DeleteAsync(Guid topicId);
}

/// <summary>A partition's grain key.</summary>
public static class PartitionKey
{
    public static string Format(string topic, int partition) => $"{topic}/{partition}";

    public static (string Topic, int Partition) Parse(string key)
    {
        int slash = key.LastIndexOf('/');
        return slash > 0 && int.TryParse(key.AsSpan(slash + 1), out int partition) && partition >= 0
            ? (key[..slash], partition)
            : throw new FormatException($"'{key}' is not a partition key; it has the form topic/partition.");
    }
}

/// <param name="RequiredAcks">0, 1 or -1 (all).</param>
/// <param name="TimeoutMs">How long to wait for the replicas; the append may still take effect after it.</param>
/// <param name="Entries">Each segment is one entry: a record batch (magic 2), which is appended or refused by itself.</param>
/// <param name="TopicId">The topic that the caller means; empty for whichever has the name.</param>
/// <param name="Transaction">Of a producer with a transactional id, whose batches may be transactional; null of others.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionAppend")]
public sealed record PartitionAppend(
    short RequiredAcks, int TimeoutMs, RecordBytes Entries, Guid TopicId = default, AppendTransaction? Transaction = null);

/// <summary>Whose transaction the batches of an append belong to.</summary>
[GenerateSerializer, Immutable, Alias("arus.AppendTransaction")]
public sealed record AppendTransaction(string TransactionalId, TransactionSupport Support);

/// <summary>How a producer makes a partition take part in its transaction, and which refusals it understands.</summary>
public enum TransactionSupport : byte
{
    /// <summary>It has told the coordinator before; the leader only asks whether it did (KIP-890). Produce before version 11.</summary>
    Verified = 0,

    /// <summary>The same, and it aborts its transaction on <see cref="ErrorCode.TransactionAbortable"/> (KIP-1050).</summary>
    Abortable = 1,

    /// <summary>The leader tells the coordinator for it: transaction version 2. Produce since version 12.</summary>
    Added = 2,
}

/// <param name="Results">One for each entry, in their order.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionAppendResult")]
public sealed record PartitionAppendResult(int LeaderEpoch, long LogStartOffset, AppendEntryResult[] Results);

/// <param name="BaseOffset">The first offset given, to a duplicate of an idempotent producer that of the first time; -1 on error.</param>
/// <param name="LogAppendTimeMs">Unix milliseconds under <c>message.timestamp.type=LogAppendTime</c>; otherwise -1.</param>
/// <param name="Message">What was wrong, for a person; null without error.</param>
/// <param name="RecordErrors">Which records were at fault, where that is known.</param>
[GenerateSerializer, Immutable, Alias("arus.AppendEntryResult")]
public readonly record struct AppendEntryResult(
    ErrorCode Error, long BaseOffset, long LogAppendTimeMs, string? Message = null, RecordError[]? RecordErrors = null);

[GenerateSerializer, Immutable, Alias("arus.RecordError")]
public readonly record struct RecordError(int BatchIndex, string? Message);

/// <param name="Offset">The first offset wanted; the first batch of the answer may begin before it.</param>
/// <param name="CurrentLeaderEpoch">The epoch that the caller believes in, checked; -1 to skip the check.</param>
/// <param name="MaxBytes">No more than this, except that a first batch is returned whole when <paramref name="MinOneBatch"/>.</param>
/// <param name="MaxWaitMs">0 to answer at once. Servers cap it at <see cref="MaxWaitLimitMs"/>.</param>
/// <param name="MinBytes">Fewer bytes than this are not returned.</param>
/// <param name="TopicId">The topic that the caller means; empty for whichever has the name.</param>
/// <param name="LastFetchedEpoch">Of the last record before the offset, checked against the log; null to skip the check.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionRead")]
public sealed record PartitionRead(
    long Offset, int CurrentLeaderEpoch, int MaxBytes, bool MinOneBatch, int MaxWaitMs, IsolationLevel Isolation, int MinBytes = 0,
    Guid TopicId = default, int? LastFetchedEpoch = null)
{
    /// <summary>Below every response timeout, so that a wait ends by itself.</summary>
    public const int MaxWaitLimitMs = 10_000;
}

/// <param name="HighWatermark">Reads stop here; -1 on error.</param>
/// <param name="LastStableOffset">Reads of committed records stop here; -1 on error.</param>
/// <param name="Records">Whole batches in offset order; no batch is spread over two segments.</param>
/// <param name="Diverging">
/// Set when the reader's records are not this log's: the last epoch that both may have in common, and where it ends here. Nothing was read.
/// </param>
/// <param name="Aborted">
/// For a reader of committed records: the aborted transactions that have some among these, in the order of their first offsets. Null for
/// others, and where nothing was read.
/// </param>
[GenerateSerializer, Immutable, Alias("arus.PartitionReadResult")]
public sealed record PartitionReadResult(
    ErrorCode Error, int LeaderEpoch, long HighWatermark, long LastStableOffset, long LogStartOffset, RecordBytes Records,
    EpochEndResponse? Diverging = null, AbortedTransaction[]? Aborted = null);

/// <summary>A transaction of which a reader of committed records leaves out the records, up to its abort marker.</summary>
[GenerateSerializer, Immutable, Alias("arus.AbortedTransaction")]
public readonly record struct AbortedTransaction(long ProducerId, long FirstOffset);

/// <param name="AfterOffset">The wait ends when the high watermark, or for committed records the last stable offset, is above it.</param>
/// <param name="CurrentLeaderEpoch">As in <see cref="PartitionRead"/>.</param>
/// <param name="MaxBytes">Available bytes are counted up to about here, but with the first batch in any case.</param>
/// <param name="MaxWaitMs">0 to answer at once. Servers cap it at <see cref="PartitionRead.MaxWaitLimitMs"/>.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionWait")]
public sealed record PartitionWait(
    long AfterOffset, int CurrentLeaderEpoch, int MaxBytes, int MaxWaitMs, IsolationLevel Isolation, Guid TopicId = default);

/// <param name="AvailableBytes">Of the batches from <see cref="PartitionWait.AfterOffset"/> on; 0 when the time was up.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionOffsets")]
public sealed record PartitionOffsets(
    ErrorCode Error, int LeaderEpoch, long HighWatermark, long LastStableOffset, long LogStartOffset, long AvailableBytes);

/// <param name="Timestamp">Unix milliseconds, or one of the constants below.</param>
[GenerateSerializer, Immutable, Alias("arus.ListOffsetRequest")]
public sealed record ListOffsetRequest(
    long Timestamp, int CurrentLeaderEpoch, IsolationLevel Isolation, Guid TopicId = default)
{
    public const long Latest = -1;
    public const long Earliest = -2;
    public const long MaxTimestamp = -3;
    public const long EarliestLocal = -4;

    /// <summary>In tiered storage, of which there is none (KIP-1005, KIP-1023).</summary>
    public const long LatestTiered = -5;
    public const long EarliestPendingUpload = -6;
}

/// <param name="Offset">-1 when no record is as late as asked.</param>
[GenerateSerializer, Immutable, Alias("arus.ListOffsetResponse")]
public sealed record ListOffsetResponse(ErrorCode Error, long Offset = -1, long Timestamp = -1, int LeaderEpoch = -1);

[GenerateSerializer, Immutable, Alias("arus.EpochEndResponse")]
public sealed record EpochEndResponse(ErrorCode Error, int LeaderEpoch = -1, long EndOffset = -1);

[GenerateSerializer, Immutable, Alias("arus.DeleteRecordsResponse")]
public sealed record DeleteRecordsResponse(ErrorCode Error, long LogStartOffset = -1);

[GenerateSerializer, Immutable, Alias("arus.PartitionProducers")]
public sealed record PartitionProducers(ErrorCode Error, ProducerDescription[] Producers);

/// <param name="LastSequence">Of its last batch; -1 when it has none in this epoch.</param>
/// <param name="LastTimestamp">The greatest of its last batch, Unix milliseconds; -1 without one.</param>
/// <param name="CoordinatorEpoch">Of the coordinator that ended its last transaction here; -1 while none did.</param>
/// <param name="TransactionStartOffset">Of its open transaction, which readers of committed records do not pass; -1 without one.</param>
[GenerateSerializer, Immutable, Alias("arus.ProducerDescription")]
public readonly record struct ProducerDescription(
    long ProducerId, short Epoch, int LastSequence, long LastTimestamp, int CoordinatorEpoch = -1, long TransactionStartOffset = -1);

/// <param name="Leader">The broker id of the silo that answers.</param>
/// <param name="SizeBytes">Of the log's segments.</param>
[GenerateSerializer, Immutable, Alias("arus.PartitionDescription")]
public sealed record PartitionDescription(
    ErrorCode Error, int Leader, int LeaderEpoch, long LogStartOffset, long HighWatermark, long LogEndOffset, long SizeBytes, int Segments);
