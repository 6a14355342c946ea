using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// What a partition's leader does with its log: checks what a request believes, calls the log, and puts the outcome into the
/// protocol's codes. Knows nothing of grains; thread-safe as the log is.
/// </summary>
internal sealed class LeaderLog(IPartitionLog log, int leaderEpoch, int inSyncReplicas, BrokerMetrics metrics)
{
    public IPartitionLog Log { get; } = log;

    public int LeaderEpoch { get; } = leaderEpoch;

    public async Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        if (CheckAcks(request.RequiredAcks) is { } refusal)
        {
            return Refused(request, refusal.Error, refusal.Message, LeaderEpoch, Log.LogStartOffset);
        }

        long started = metrics.Started();
        LogAppendResult[] appended = await Log.AppendAsync(request.Entries.Segments, LeaderEpoch);
        var results = new AppendEntryResult[appended.Length];
        for (int i = 0; i < appended.Length; i++)
        {
            LogAppendResult one = appended[i];
            results[i] = new AppendEntryResult(one.Error, one.BaseOffset, one.LogAppendTimeMs, one.Message, Convert(one.RecordErrors));
        }

        metrics.Appended(started, request.Entries.SizeInBytes, results);
        return new PartitionAppendResult(LeaderEpoch, Log.LogStartOffset, results);
    }

    public async Task<PartitionReadResult> FetchAsync(PartitionRead request, CancellationToken stopping)
    {
        if (CheckEpoch(request.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
        {
            return Refused(epochError, LeaderEpoch);
        }

        if (request.MaxBytes < 0 || request.Offset < 0)
        {
            return Refused(request.MaxBytes < 0 ? ErrorCode.InvalidFetchSize : ErrorCode.OffsetOutOfRange, LeaderEpoch, Log);
        }

        LogReadResult read = await Log.ReadAsync(request.Offset, request.MaxBytes, request.MinOneBatch);
        if (request.MaxWaitMs > 0 && read.Error == ErrorCode.None && read.Records.Length == 0 && request.Offset >= read.HighWatermark)
        {
            var wait = TimeSpan.FromMilliseconds(Math.Min(request.MaxWaitMs, PartitionRead.MaxWaitLimitMs));
            if (await Log.WaitForAsync(request.Offset, wait, stopping))
            {
                read = await Log.ReadAsync(request.Offset, request.MaxBytes, request.MinOneBatch);
            }
            else if (stopping.IsCancellationRequested)
            {
                return Refused(ErrorCode.NotLeaderOrFollower, LeaderEpoch);
            }
        }

        metrics.Fetched(read.Records);
        return read.Error == ErrorCode.None
            ? new PartitionReadResult(ErrorCode.None, LeaderEpoch, read.HighWatermark, read.HighWatermark, read.LogStartOffset, read.Records)
            : Refused(read.Error, LeaderEpoch, Log);
    }

    public async Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request)
    {
        if (CheckEpoch(request.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
        {
            return new ListOffsetResponse(epochError, -1, -1, -1);
        }

        switch (request.Timestamp)
        {
            case ListOffsetRequest.Latest:
                return new ListOffsetResponse(ErrorCode.None, Log.HighWatermark, -1, LeaderEpoch);
            case ListOffsetRequest.Earliest or ListOffsetRequest.EarliestLocal:
                long start = Log.LogStartOffset;
                return new ListOffsetResponse(ErrorCode.None, start, -1, start == Log.LogEndOffset ? LeaderEpoch : -1);
            case ListOffsetRequest.MaxTimestamp:
                return Found(await Log.FindMaxTimestampAsync());
            case >= 0:
                return Found(await Log.FindByTimestampAsync(request.Timestamp));
            default:
                return new ListOffsetResponse(ErrorCode.UnsupportedVersion, -1, -1, -1);
        }
    }

    public EpochEndResponse GetEpochEnd(int currentLeaderEpoch, int leaderEpoch)
    {
        if (CheckEpoch(currentLeaderEpoch) is var epochError and not ErrorCode.None)
        {
            return new EpochEndResponse(epochError, -1, -1);
        }

        if (leaderEpoch > LeaderEpoch || leaderEpoch < 0)
        {
            return new EpochEndResponse(ErrorCode.None, -1, -1);
        }

        // The log knows the present epoch only once something was appended in it.
        LogEpochEnd end = leaderEpoch == LeaderEpoch ? new LogEpochEnd(LeaderEpoch, Log.LogEndOffset) : Log.EpochEnd(leaderEpoch);
        return new EpochEndResponse(ErrorCode.None, end.LeaderEpoch, end.EndOffset);
    }

    public async Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset)
    {
        LogDeleteResult deleted = await Log.DeleteRecordsAsync(beforeOffset);
        return new DeleteRecordsResponse(deleted.Error, deleted.LogStartOffset);
    }

    public PartitionDescription Describe(int brokerId) => new(
        ErrorCode.None, brokerId, LeaderEpoch, Log.LogStartOffset, Log.HighWatermark, Log.LogEndOffset, Log.SizeBytes, Log.SegmentCount);

    public static PartitionAppendResult Refused(PartitionAppend request, ErrorCode error, string message, int leaderEpoch = -1, long logStart = -1)
    {
        var results = new AppendEntryResult[request.Entries.Count];
        Array.Fill(results, new AppendEntryResult(error, -1, -1, message));
        return new PartitionAppendResult(leaderEpoch, logStart, results);
    }

    public static PartitionReadResult Refused(ErrorCode error, int leaderEpoch = -1, IPartitionLog? log = null) =>
        new(error, leaderEpoch, log?.HighWatermark ?? -1, log?.HighWatermark ?? -1, log?.LogStartOffset ?? -1, []);

    private (ErrorCode Error, string Message)? CheckAcks(short requiredAcks)
    {
        if (requiredAcks is not (0 or 1 or -1))
        {
            return (ErrorCode.InvalidRequiredAcks, $"acks={requiredAcks} was asked for; allowed: 0, 1, -1 (all).");
        }

        int wanted = Log.Config.MinInSyncReplicas;
        return requiredAcks == -1 && inSyncReplicas < wanted
            ? (ErrorCode.NotEnoughReplicas, $"acks=all needs {TopicConfigs.MinInSyncReplicas}={wanted} replicas in sync; there is {inSyncReplicas}.")
            : null;
    }

    private ErrorCode CheckEpoch(int believed) =>
        believed < 0 || believed == LeaderEpoch ? ErrorCode.None
        : believed < LeaderEpoch ? ErrorCode.FencedLeaderEpoch
        : ErrorCode.UnknownLeaderEpoch;

    private static ListOffsetResponse Found(LogTimestamp? found) => found is { } record
        ? new ListOffsetResponse(ErrorCode.None, record.Offset, record.Timestamp, record.LeaderEpoch)
        : new ListOffsetResponse(ErrorCode.None, -1, -1, -1);

    private static RecordError[]? Convert(LogRecordError[]? errors) =>
        errors is null ? null : Array.ConvertAll(errors, error => new RecordError(error.RecordIndex, error.Message));
}
