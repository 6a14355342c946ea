using System.Collections.Immutable;
using Arus.Compression;

namespace Arus.Storage;

/// <summary>
/// The log of one partition: record batches (magic 2) in offset order, kept as the producer sent them except for what the leader
/// writes: base offset, leader epoch, maximum timestamp, timestamp type, and the offset deltas of records that are not compressed.
/// </summary>
/// <remarks>
/// <para>Thread-safe. The order of appends is the order in which <see cref="AppendAsync"/> is entered, so one logical thread calls it;
/// it need not wait for one append before it starts the next.</para>
/// <para>Memory that a caller passes in is read only until <see cref="AppendAsync"/>'s task completes. Memory that is handed out is
/// never written again and stays valid for as long as it is referenced, or until a lease on it is released; callers must not write to
/// it.</para>
/// <para>An I/O error poisons the log: what was under way is answered with <see cref="ErrorCode.KafkaStorageError"/>, so are later
/// appends, and <see cref="Failure"/> says why. Dispose it and open it again: opening recovers.</para>
/// </remarks>
public interface IPartitionLog : IAsyncDisposable
{
    TopicPartition Partition { get; }

    /// <summary>The first offset that can be read; it moves with retention and <see cref="DeleteRecordsAsync"/>.</summary>
    long LogStartOffset { get; }

    /// <summary>The offset that the next record gets; what lies between the durable end and here is not durable yet.</summary>
    long LogEndOffset { get; }

    /// <summary>Everything before it is durable here to the configured <see cref="FlushPolicy"/>.</summary>
    long DurableEndOffset { get; }

    /// <summary>
    /// Consumers see what lies before it. Of a log in one copy it is the durable end; of a replicated one it is moved by
    /// <see cref="AdvanceHighWatermark"/>, and is known again when the log is opened, if not to the last moment.
    /// </summary>
    long HighWatermark { get; }

    /// <summary>
    /// Readers of committed records stop here: where the first transaction begins that has no marker, or whose marker is not below the high
    /// watermark; without any it is the high watermark.
    /// </summary>
    long LastStableOffset { get; }

    /// <summary>
    /// Of a replicated log, on stable storage: another one is drawn when acknowledged records may be missing. Empty for a log in one copy.
    /// </summary>
    Guid LogId { get; }

    /// <summary>
    /// The greatest epoch that <see cref="PrepareAsync"/> has fenced earlier ones for, durably; -1 while there is none. Appends of earlier
    /// epochs are refused.
    /// </summary>
    int FencedEpoch { get; }

    /// <summary>Which leader epoch wrote from which offset, of what the log holds; both grow along the list.</summary>
    ImmutableArray<LogEpochStart> Epochs { get; }

    /// <summary>Bytes of all segments.</summary>
    long SizeBytes { get; }

    int SegmentCount { get; }

    /// <summary>The leader epoch of the last batch; -1 while there is none.</summary>
    int LatestEpoch { get; }

    /// <summary>The leader epoch in force at the log start; -1 while nothing was appended.</summary>
    int EarliestEpoch { get; }

    /// <summary>Why the log serves no more; null while it does.</summary>
    Exception? Failure { get; }

    /// <summary>What the log obeys; set by <see cref="Reconfigure"/>.</summary>
    TopicConfig Config { get; }

    /// <summary>
    /// Appends the entries in their order and completes when all that was accepted is durable to the configured degree. An entry is
    /// one batch of a producer, or whole batches of the broker or of the leader, which are appended together or not at all; entries are
    /// accepted or refused one by one.
    /// </summary>
    /// <param name="entries">Left alone by the caller until the task completes.</param>
    /// <param name="leaderEpoch">
    /// Written into the batches; of a replica's, which have theirs, the epoch of the leader that sent them. Below
    /// <see cref="FencedEpoch"/>, and of others than replicas below <see cref="LatestEpoch"/>, all are refused, with
    /// <see cref="ErrorCode.FencedLeaderEpoch"/>.
    /// </param>
    /// <param name="origin">Decides what is validated and who gives the offsets.</param>
    /// <param name="guard">
    /// Of a client's batches that begin a transaction; without it they are refused, with
    /// <see cref="ErrorCode.InvalidTxnState"/>, unless the transaction is open.
    /// </param>
    /// <returns>One result for each entry, in their order.</returns>
    ValueTask<LogAppendResult[]> AppendAsync(
        ReadOnlyMemory<byte>[] entries, int leaderEpoch, AppendOrigin origin = AppendOrigin.Client, VerificationGuard? guard = null);

    /// <summary>
    /// Appends a transaction marker. Refused with <see cref="ErrorCode.InvalidProducerEpoch"/> or
    /// <see cref="ErrorCode.TransactionCoordinatorFenced"/> if a later epoch was seen; otherwise as <see cref="AppendAsync"/> refuses.
    /// </summary>
    /// <returns>The marker's offset, or, of one that was appended before, an offset at or behind it.</returns>
    ValueTask<LogAppendResult> EndTransactionAsync(LogMarker marker, int leaderEpoch);

    /// <summary>A batch is to be appended that may begin a transaction, of which its coordinator has to be asked first.</summary>
    /// <param name="sequence">Of the batch.</param>
    /// <param name="beginsAtZero">Whether a producer of which nothing is known has to begin with sequence 0.</param>
    /// <returns>What <see cref="AppendAsync"/> is to be given then; null if there is nothing to ask.</returns>
    ValueTask<VerificationGuard?> BeginVerificationAsync(long producerId, short producerEpoch, int sequence, bool beginsAtZero);

    /// <summary>
    /// The aborted transactions that may have records from one offset up to another one, in the order of their markers.
    /// </summary>
    /// <exception cref="LogException">It is not known which they are.</exception>
    ValueTask<LogAbortedTransaction[]> FindAbortedAsync(long from, long to);

    /// <summary>
    /// Reads whole batches from the one that holds <paramref name="offset"/> (or the next after it) up to the high watermark, the last
    /// stable offset, or the durable end. Completes synchronously when the tail cache has them, which are not copied then.
    /// </summary>
    /// <param name="offset">Between the log start and the log end, otherwise <see cref="ErrorCode.OffsetOutOfRange"/>.</param>
    /// <param name="maxBytes">No more than this, but see <paramref name="minOneBatch"/>.</param>
    /// <param name="minOneBatch">The first batch is returned whole even when it is larger than <paramref name="maxBytes"/>.</param>
    /// <param name="lease">Of a reader that will say when it has done with the records; null for one that may keep them.</param>
    ValueTask<LogReadResult> ReadAsync(
        long offset, int maxBytes, bool minOneBatch, LogReadLimit upTo = LogReadLimit.HighWatermark, LogReadLease? lease = null);

    /// <summary>
    /// Waits until something can be read at <paramref name="offset"/>, that is until the high watermark, or the last stable offset, passes
    /// it. Holds no thread.
    /// </summary>
    /// <returns>False when the time is up, the wait is cancelled (no exception), or the log closes or fails.</returns>
    ValueTask<bool> WaitForAsync(
        long offset, TimeSpan timeout, CancellationToken cancellationToken = default, LogReadLimit upTo = LogReadLimit.HighWatermark);

    /// <summary>The first record below the high watermark that is as late as <paramref name="timestamp"/> (Unix ms), or null.</summary>
    ValueTask<LogTimestamp?> FindByTimestampAsync(long timestamp);

    /// <summary>
    /// The record below the high watermark with the greatest timestamp, the first of them when there are several; null without records.
    /// </summary>
    ValueTask<LogTimestamp?> FindMaxTimestampAsync();

    /// <summary>
    /// The last epoch not above <paramref name="leaderEpoch"/>, and the offset after its last record (KIP-101, KIP-279): the start of
    /// the next epoch, or the log's end for the latest. (-1, -1) when nothing is known.
    /// </summary>
    LogEpochEnd EpochEnd(int leaderEpoch);

    /// <summary>Removes every batch that holds <paramref name="offset"/> or a later one. Durable when it completes.</summary>
    ValueTask TruncateToAsync(long offset);

    /// <summary>
    /// Moves a replicated log's high watermark forward, but not beyond the durable end, and its log start, but not beyond the high
    /// watermark; neither moves back. Written down within <c>replica.high.watermark.checkpoint.interval.ms</c>. Of a log in one copy the
    /// high watermark moves by itself, and this does nothing.
    /// </summary>
    /// <param name="logStartOffset">Of the leader; -1 to leave the log start.</param>
    void AdvanceHighWatermark(long offset, long logStartOffset = -1);

    /// <summary>
    /// Readies the log for a leader epoch: appends of earlier epochs are refused from here on; then the log is cut. Durable when it
    /// completes, and a crash at any moment leaves it undone, or fenced and to be completed at the next opening. What was passed to
    /// <see cref="AppendAsync"/> before is appended first.
    /// </summary>
    /// <param name="truncateTo">Every batch that holds this offset or a later one is removed; -1 for none.</param>
    /// <param name="restartAt">All is removed, and the log begins and ends at this offset; -1 to leave the log. Not both.</param>
    /// <param name="renewLogId">The log gets another id, since acknowledged records may be missing.</param>
    /// <exception cref="LogException">
    /// With <see cref="ErrorCode.FencedLeaderEpoch"/>: the epoch is below <see cref="FencedEpoch"/>. With
    /// <see cref="ErrorCode.InvalidRequest"/>: the log would end before its high watermark and keep its id. Nothing has changed then.
    /// </exception>
    /// <exception cref="InvalidOperationException">The log is not replicated, so that nothing can be cut or renewed.</exception>
    ValueTask PrepareAsync(int epoch, long truncateTo, long restartAt, bool renewLogId);

    /// <summary>Moves the log start to <paramref name="beforeOffset"/> (-1: the high watermark). Durable when it completes.</summary>
    /// <returns>The new log start, or <see cref="ErrorCode.OffsetOutOfRange"/>.</returns>
    ValueTask<LogDeleteResult> DeleteRecordsAsync(long beforeOffset);

    /// <summary>The topic's configuration changed; the appends that follow obey it.</summary>
    void Reconfigure(TopicConfig config);

    /// <summary>
    /// Of a replicated log of which a reader found records damaged, while other replicas have them: it fails. When it is opened again it
    /// ends where the damage begins, is another replica, and gets the rest from its leader.
    /// </summary>
    /// <returns>False if the log is no replica, or nobody came upon damage.</returns>
    bool FailIfDamaged();

    /// <summary>
    /// One pass of retention, compaction and expiry of idle producers, as <c>cleanup.policy</c> wants; call it every
    /// <c>log.retention.check.interval.ms</c> or so. Passes of one log never overlap.
    /// </summary>
    ValueTask<LogMaintenanceResult> MaintainAsync(CancellationToken cancellationToken = default);

    /// <summary>The idempotent producers that the log remembers; the one that was silent for longest first.</summary>
    ValueTask<LogProducer[]> DescribeProducersAsync();

    /// <summary>Completes when all that was appended before is on stable storage, whatever the flush policy.</summary>
    ValueTask FlushAsync();

    /// <summary>
    /// Closes the log and deletes everything it holds, also when the log was closed before because a newer activation opened it again:
    /// see <see cref="IPartitionLogProvider.DeleteAsync"/>.
    /// </summary>
    ValueTask DeleteAsync();
}

/// <summary>Opens the logs of one silo; owns what they share: I/O threads, cache budget, file handles.</summary>
public interface IPartitionLogProvider : IAsyncDisposable
{
    /// <summary>Opens the log, creating it when there is none, after recovery; a partition is open at most once at a time.</summary>
    /// <param name="topicId">
    /// Tells a topic from an earlier one of the same name: a log found with another id is set aside, not served. Empty: not checked.
    /// </param>
    /// <param name="leaderEpoch">
    /// The epoch of the leader that opens it. A log in shared storage fences every older leader at once; without an epoch (-1) such a log
    /// can be read, and changed only after the first append, which brings one.
    /// </param>
    /// <param name="replication">
    /// Opens the log as one replica of several: its high watermark is moved by <see cref="IPartitionLog.AdvanceHighWatermark"/>. Null for
    /// a log in one copy. A log in shared storage is always one copy.
    /// </param>
    /// <exception cref="LogException">
    /// The message names the file and the reason; or, with <see cref="ErrorCode.FencedLeaderEpoch"/>, a newer leader has the log.
    /// </exception>
    ValueTask<IPartitionLog> OpenAsync(
        TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, LogReplication? replication = null,
        CancellationToken cancellationToken = default);

    /// <summary>
    /// Deletes everything that a partition's log holds, whether the log is open or not; one that is open, or being opened, is closed
    /// first. No error when there is none.
    /// </summary>
    /// <param name="topicId">The log of a topic with another id is left alone. Empty: not checked.</param>
    /// <exception cref="LogException">It cannot be deleted; the message says why. It can be tried again.</exception>
    ValueTask DeleteAsync(TopicPartition partition, Guid topicId);
}

/// <summary>What a replicated log needs of its host.</summary>
/// <param name="DurableEndMoved">
/// Called when the durable end has moved, on an I/O thread and under no lock. It must neither block nor throw.
/// </param>
/// <param name="Failed">
/// Called once when the log has failed (<see cref="IPartitionLog.Failure"/>), on any thread, perhaps under a lock. It must neither block
/// nor throw.
/// </param>
public sealed record LogReplication(Action DurableEndMoved, Action? Failed = null);

/// <summary>Where a read ends.</summary>
public enum LogReadLimit
{
    /// <summary>For consumers.</summary>
    HighWatermark = 0,

    /// <summary>For replicas.</summary>
    DurableEnd = 1,

    /// <summary>For consumers that read committed records only.</summary>
    LastStable = 2,
}

/// <summary>The end of a transaction, as its coordinator decided it.</summary>
/// <param name="TransactionVersion">From 2 on the marker's epoch is above that of the transaction's batches (KIP-890).</param>
public sealed record LogMarker(
    long ProducerId, short ProducerEpoch, int CoordinatorEpoch, bool IsCommit, short TransactionVersion)
{
    internal PendingAppend ToAppend(int leaderEpoch, long nowMs, bool inline = false)
    {
        using var builder = new RecordBatchBuilder();
        ControlRecordType type = IsCommit ? ControlRecordType.Commit : ControlRecordType.Abort;
        byte[] batch = ControlRecord.BuildMarker(builder, type, ProducerId, ProducerEpoch, CoordinatorEpoch, nowMs).ToArray();
        return new PendingAppend([batch], leaderEpoch, AppendOrigin.Coordinator, inline) { TransactionVersion = TransactionVersion };
    }
}

/// <param name="LastOffset">Of its abort marker.</param>
/// <param name="LastStableOffset">Transactions that end behind the marker began there or later.</param>
public sealed record LogAbortedTransaction(long ProducerId, long FirstOffset, long LastOffset, long LastStableOffset);

/// <param name="LastSequence">Of its last batch; -1 when it has none in this epoch.</param>
/// <param name="LastTimestamp">The greatest of its last batch, Unix milliseconds; -1 without one.</param>
/// <param name="CoordinatorEpoch">Of the coordinator that ended its last transaction here; -1 while none did.</param>
/// <param name="TransactionFirstOffset">Of its open transaction; -1 without one.</param>
public readonly record struct LogProducer(
    long ProducerId, short Epoch, int LastSequence, long LastTimestamp, int CoordinatorEpoch = -1, long TransactionFirstOffset = -1);

/// <summary>Who appends, which decides what is checked.</summary>
public enum AppendOrigin
{
    /// <summary>A producer: everything is opened, validated and corrected, control batches are refused, offsets are given here.</summary>
    Client = 0,

    /// <summary>The broker itself, as transaction and group coordinator: control batches are allowed, offsets are given here.</summary>
    Coordinator = 1,

    /// <summary>The partition's leader: bytes are kept as they are, offsets and epochs included; they must follow the log's end.</summary>
    Replica = 2,
}

/// <param name="BaseOffset">The first offset given, to a duplicate of an idempotent producer the first time; -1 on error.</param>
/// <param name="LogAppendTimeMs">Unix milliseconds under <c>message.timestamp.type=LogAppendTime</c>; otherwise -1.</param>
/// <param name="Message">What was wrong, for a person; null without error.</param>
/// <param name="RecordErrors">Which records were at fault, where that is known.</param>
public readonly record struct LogAppendResult(
    ErrorCode Error, long BaseOffset, long LogAppendTimeMs, string? Message = null, LogRecordError[]? RecordErrors = null)
{
    public static LogAppendResult Refused(ErrorCode error, string message, LogRecordError[]? records = null) =>
        new(error, -1, -1, message, records);
}

/// <param name="RecordIndex">Of the record in its entry, from 0.</param>
public readonly record struct LogRecordError(int RecordIndex, string Message);

/// <param name="Records">Whole batches in offset order; adjacent slices follow each other. Empty when there are none.</param>
public readonly record struct LogReadResult(
    ErrorCode Error, long HighWatermark, long LogStartOffset, long LogEndOffset, ReadOnlyMemory<byte>[] Records,
    long LastStableOffset = -1);

/// <param name="Timestamp">Unix milliseconds.</param>
public readonly record struct LogTimestamp(long Offset, long Timestamp, int LeaderEpoch);

public readonly record struct LogEpochStart(int Epoch, long StartOffset);

public readonly record struct LogEpochEnd(int LeaderEpoch, long EndOffset);

public readonly record struct LogDeleteResult(ErrorCode Error, long LogStartOffset);

/// <param name="SegmentsDeleted">By retention.</param>
/// <param name="SegmentsCompacted">Rewritten by compaction.</param>
/// <param name="BytesFreed">By both.</param>
/// <param name="ProducersExpired">Idle for longer than <c>producer.id.expiration.ms</c>.</param>
public readonly record struct LogMaintenanceResult(int SegmentsDeleted, int SegmentsCompacted, long BytesFreed, int ProducersExpired);

/// <summary>A log cannot be opened or has failed; the message names the file.</summary>
/// <param name="error">What a client is told.</param>
public sealed class LogException(string message, Exception? inner = null, ErrorCode error = ErrorCode.KafkaStorageError)
    : Exception(message, inner)
{
    public ErrorCode Error { get; } = error;
}
