using System.Diagnostics;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// The leader's face of a partition's log: validates requests, calls the log, and maps outcomes to the protocol's error codes. Knows
/// nothing of grains; thread-safe as the log is.
/// </summary>
/// <param name="leadership">Of a replicated partition; null where there is one copy, which nobody else can lead.</param>
/// <param name="verify">Asks a transaction's coordinator; null where every transaction is believed.</param>
internal sealed class LeaderLog(
    IPartitionLog log, int leaderEpoch, int inSyncReplicas, BrokerMetrics metrics, Leadership? leadership = null,
    VerifyTransaction? verify = null)
{
    private readonly TransactionalAppends _transactions = new(log, leaderEpoch, verify);

    public LeaderLog(Leadership leadership, BrokerMetrics metrics, VerifyTransaction? verify = null)
        : this(leadership.Log, leadership.Epoch, 0, metrics, leadership, verify)
    {
    }

    public IPartitionLog Log { get; } = log;

    public int LeaderEpoch { get; } = leaderEpoch;

    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (CheckAcks(request.RequiredAcks) is { } refusal)
            return Reject(request, refusal.Error, refusal.Message, LeaderEpoch, Log.LogStartOffset);

        long started = metrics.Started();
        LogAppendResult[] appended = request.Transaction is null
            ? await Log.AppendAsync(request.Entries.Segments, LeaderEpoch)
            : await _transactions.AppendAsync(request.Transaction, request.Entries.Segments);
        Debug.Assert(appended.Length == request.Entries.Count, "Each entry has its result.");
        AppendEntryResult[] results = Array.ConvertAll(appended, static one => new AppendEntryResult(
            one.Error, one.BaseOffset, one.LogAppendTimeMs, one.Message, Convert(one.RecordErrors)));
        if (leadership is not null)
            await leadership.AcknowledgeAsync(request, results);

        metrics.Appended(started, request.Entries, results);
        return new PartitionAppendResult(LeaderEpoch, Log.LogStartOffset, results);
    }

    public async Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker)
    {
        if (CheckAcks(requiredAcks: -1) is { } refusal)
            return refusal.Error;

        var end = new LogMarker(
            marker.ProducerId, marker.ProducerEpoch, marker.CoordinatorEpoch, marker.IsCommit, marker.TransactionVersion);
        LogAppendResult appended = await Log.EndTransactionAsync(end, LeaderEpoch);
        return leadership is null ? appended.Error : await leadership.AcknowledgeMarkerAsync(appended);
    }

    /// <exception cref="OperationCanceledException"><paramref name="stopping"/> ended the wait.</exception>
    public async Task<PartitionReadResult> FetchAsync(PartitionRead request, CancellationToken stopping)
    {
        if (CheckEpoch(request.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
            return RejectRead(epochError, LeaderEpoch);

        if (request.LastFetchedEpoch is { } lastFetched && CheckLastFetched(request.Offset, lastFetched) is { } divergence)
            return GivesVerdicts ? divergence : RejectRead(ErrorCode.NotLeaderOrFollower, LeaderEpoch);

        LogReadLimit upTo = LimitOf(request.Isolation);
        LogReadResult read = await Log.ReadAsync(request.Offset, Math.Max(0, request.MaxBytes), request.MinOneBatch, upTo);
        if (request.MaxWaitMs > 0 && read.Error == ErrorCode.None && read.Records.Length == 0 && request.Offset >= EndOf(read, upTo))
        {
            var wait = TimeSpan.FromMilliseconds(Math.Min(request.MaxWaitMs, PartitionRead.MaxWaitLimitMs));
            if (await Log.WaitForAsync(request.Offset, wait, stopping, upTo))
                read = await Log.ReadAsync(request.Offset, request.MaxBytes, request.MinOneBatch, upTo);
            else
                stopping.ThrowIfCancellationRequested();
        }

        if (read.Error != ErrorCode.None)
            return RejectRead(Verdict(read.Error), LeaderEpoch);

        if (request.MaxBytes < 0 && request.Offset < EndOf(read, upTo))
            return RejectRead(ErrorCode.UnknownServerError, LeaderEpoch); // Kafka's code for a negative limit.

        RecordBytes records = new(read.Records);
        records = records.SizeInBytes < request.MinBytes ? [] : records;
        metrics.Fetched(records.Segments);
        return new PartitionReadResult(
            ErrorCode.None, LeaderEpoch, read.HighWatermark, read.LastStableOffset, read.LogStartOffset, records,
            Aborted: upTo == LogReadLimit.LastStable ? await FindAbortedAsync(request.Offset, records) : null);
    }

    private async ValueTask<AbortedTransaction[]> FindAbortedAsync(long offset, RecordBytes records)
    {
        if (records.Count == 0)
            return [];

        long end = offset;
        for (ReadOnlyMemory<byte> rest = records[records.Count - 1]; !rest.IsEmpty;)
        {
            var header = new RecordBatchHeader(rest.Span);
            (end, rest) = (header.NextOffset, rest[header.SizeInBytes..]);
        }

        LogAbortedTransaction[] aborted = await Log.FindAbortedAsync(offset, end);
        Array.Sort(aborted, static (one, other) => one.FirstOffset.CompareTo(other.FirstOffset));
        return Array.ConvertAll(aborted, static one => new AbortedTransaction(one.ProducerId, one.FirstOffset));
    }

    /// <exception cref="OperationCanceledException"><paramref name="stopping"/> ended the wait.</exception>
    public async Task<PartitionOffsets> WaitForOffsetAsync(PartitionWait request, CancellationToken stopping)
    {
        if (CheckEpoch(request.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
            return RejectWait(epochError, LeaderEpoch);

        var wait = TimeSpan.FromMilliseconds(Math.Clamp(request.MaxWaitMs, 0, PartitionRead.MaxWaitLimitMs));
        LogReadLimit upTo = LimitOf(request.Isolation);
        if (!await Log.WaitForAsync(request.AfterOffset, wait, stopping, upTo))
        {
            stopping.ThrowIfCancellationRequested();
            return Offsets(Log.LastStableOffset, Log.HighWatermark, availableBytes: 0);
        }

        // What was waited for is in the tail cache, where a read is slices without copies. The offsets come first: what is appended during
        // the read may be counted twice, but is not missed.
        (long lastStable, long highWatermark) = (Log.LastStableOffset, Log.HighWatermark);
        LogReadResult available = await Log.ReadAsync(request.AfterOffset, Math.Max(0, request.MaxBytes), minOneBatch: true, upTo);
        return available.Error == ErrorCode.None
            ? Offsets(lastStable, highWatermark, new RecordBytes(available.Records).SizeInBytes)
            : RejectWait(Verdict(available.Error), LeaderEpoch);
    }

    public async Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request)
    {
        if (CheckEpoch(request.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
            return new ListOffsetResponse(epochError);

        ListOffsetResponse found = await FindOffsetAsync(request);
        return !GivesVerdicts ? new ListOffsetResponse(ErrorCode.NotLeaderOrFollower) : found;
    }

    private async ValueTask<ListOffsetResponse> FindOffsetAsync(ListOffsetRequest request)
    {
        long start = Log.LogStartOffset;
        long end = request.Isolation == IsolationLevel.ReadCommitted ? Log.LastStableOffset : Log.HighWatermark;
        bool isFirst = request.Timestamp is ListOffsetRequest.Earliest or ListOffsetRequest.EarliestLocal;
        return !isFirst && leadership is { HasCaughtUp: false } ? new ListOffsetResponse(ErrorCode.OffsetNotAvailable)
            : request.Timestamp switch
            {
                ListOffsetRequest.Latest => new ListOffsetResponse(ErrorCode.None, end, -1, LeaderEpoch),
                ListOffsetRequest.Earliest or ListOffsetRequest.EarliestLocal =>
                    new ListOffsetResponse(ErrorCode.None, start, -1, start == Log.LogEndOffset ? LeaderEpoch : Log.EarliestEpoch),
                ListOffsetRequest.MaxTimestamp => Found(await Log.FindMaxTimestampAsync(), end),
                ListOffsetRequest.LatestTiered or ListOffsetRequest.EarliestPendingUpload => new ListOffsetResponse(ErrorCode.None),
                >= 0 => Found(await Log.FindByTimestampAsync(request.Timestamp), end),
                _ => new ListOffsetResponse(ErrorCode.UnsupportedVersion),
            };
    }

    public EpochEndResponse GetEpochEnd(int currentLeaderEpoch, int leaderEpoch)
    {
        if (CheckEpoch(currentLeaderEpoch) is var epochError and not ErrorCode.None)
            return new EpochEndResponse(epochError);

        LogEpochEnd end = FindEpochEnd(leaderEpoch);
        return GivesVerdicts
            ? new EpochEndResponse(ErrorCode.None, end.LeaderEpoch, end.EndOffset)
            : new EpochEndResponse(ErrorCode.NotLeaderOrFollower);
    }

    public async Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset)
    {
        if (!Log.Config.Delete)
            return new DeleteRecordsResponse(ErrorCode.PolicyViolation);

        LogDeleteResult deleted = await Log.DeleteRecordsAsync(beforeOffset);
        return new DeleteRecordsResponse(deleted.Error, deleted.LogStartOffset);
    }

    public async Task<PartitionProducers> DescribeProducersAsync() => new(
        ErrorCode.None,
        Array.ConvertAll(await Log.DescribeProducersAsync(), producer => new ProducerDescription(
            producer.ProducerId, producer.Epoch, producer.LastSequence, producer.LastTimestamp, producer.CoordinatorEpoch,
            producer.TransactionFirstOffset)));

    public PartitionDescription Describe(int brokerId) => new(
        ErrorCode.None, brokerId, LeaderEpoch, Log.LogStartOffset, Log.HighWatermark, Log.LogEndOffset, Log.SizeBytes, Log.SegmentCount);

    public static PartitionAppendResult Reject(
        PartitionAppend request, ErrorCode error, string message, int leaderEpoch = -1, long logStart = -1)
    {
        var results = new AppendEntryResult[request.Entries.Count];
        Array.Fill(results, new AppendEntryResult(error, -1, -1, message));
        return new PartitionAppendResult(leaderEpoch, logStart, results);
    }

    public static PartitionReadResult RejectRead(ErrorCode error, int leaderEpoch = -1) => new(error, leaderEpoch, -1, -1, -1, []);

    public static PartitionOffsets RejectWait(ErrorCode error, int leaderEpoch = -1) => new(error, leaderEpoch, -1, -1, -1, 0);

    /// <summary>Whether the log has what a reader says it read before its position; null if so (KIP-595).</summary>
    private PartitionReadResult? CheckLastFetched(long offset, int lastFetchedEpoch)
    {
        LogEpochEnd end = FindEpochEnd(lastFetchedEpoch);
        if (end.LeaderEpoch < 0 || end.EndOffset < 0 || offset < Log.LogStartOffset)
            return RejectRead(ErrorCode.OffsetOutOfRange, LeaderEpoch);

        return end.LeaderEpoch == lastFetchedEpoch && end.EndOffset >= offset ? null : new PartitionReadResult(
            ErrorCode.None, LeaderEpoch, Log.HighWatermark, Log.LastStableOffset, Log.LogStartOffset, [],
            new EpochEndResponse(ErrorCode.None, end.LeaderEpoch, end.EndOffset));
    }

    /// <summary>As <see cref="IPartitionLog.EpochEnd"/>; but a log knows the present epoch only once it has records of it.</summary>
    private LogEpochEnd FindEpochEnd(int leaderEpoch)
    {
        long logEnd = Log.LogEndOffset; // Before the latest epoch: if that is an earlier one, all before this is of earlier ones.
        int latest = Log.LatestEpoch;
        return leaderEpoch > LeaderEpoch ? new LogEpochEnd(-1, -1)
            : leaderEpoch == LeaderEpoch ? new LogEpochEnd(LeaderEpoch, Log.LogEndOffset)
            : leaderEpoch > latest ? new LogEpochEnd(latest >= 0 ? latest : leaderEpoch, logEnd)
            : Log.EpochEnd(leaderEpoch);
    }

    private PartitionOffsets Offsets(long lastStable, long highWatermark, long availableBytes) =>
        new(ErrorCode.None, LeaderEpoch, highWatermark, lastStable, Log.LogStartOffset, availableBytes);

    private static LogReadLimit LimitOf(IsolationLevel isolation) =>
        isolation == IsolationLevel.ReadCommitted ? LogReadLimit.LastStable : LogReadLimit.HighWatermark;

    private static long EndOf(in LogReadResult read, LogReadLimit upTo) =>
        upTo == LogReadLimit.LastStable ? read.LastStableOffset : read.HighWatermark;

    private (ErrorCode Error, string Message)? CheckAcks(short requiredAcks)
    {
        if (requiredAcks is not (0 or 1 or -1))
            return (ErrorCode.InvalidRequiredAcks, $"acks={requiredAcks} was requested; allowed: 0, 1, -1 (all).");

        int required = leadership?.RequiredInSync ?? Log.Config.MinInSyncReplicas;
        int inSync = leadership?.InSync ?? inSyncReplicas;
        return requiredAcks == -1 && inSync < required
            ? (ErrorCode.NotEnoughReplicas,
                $"acks=all needs {TopicConfigs.MinInSyncReplicas}={required} replicas in sync; there is {inSync}.")
            : null;
    }

    /// <summary>Whether nobody else can have begun to lead, so that what this leader says of offsets is true.</summary>
    private bool GivesVerdicts => leadership is null || leadership.GivesVerdicts;

    private ErrorCode Verdict(ErrorCode error) =>
        error == ErrorCode.OffsetOutOfRange && !GivesVerdicts ? ErrorCode.NotLeaderOrFollower : error;

    private ErrorCode CheckEpoch(int believed) =>
        believed == -1 || believed == LeaderEpoch ? ErrorCode.None
        : believed < LeaderEpoch ? ErrorCode.FencedLeaderEpoch
        : ErrorCode.UnknownLeaderEpoch;

    /// <param name="end">Where the reader stops.</param>
    private static ListOffsetResponse Found(LogTimestamp? found, long end) => found is { } record && record.Offset < end
        ? new ListOffsetResponse(ErrorCode.None, record.Offset, record.Timestamp, record.LeaderEpoch)
        : new ListOffsetResponse(ErrorCode.None);

    private static RecordError[]? Convert(LogRecordError[]? errors) =>
        errors is null ? null : Array.ConvertAll(errors, error => new RecordError(error.RecordIndex, error.Message));
}
