namespace Arus.Grains;

/// <summary>What the grain of a partition does with calls that its leader's log answers, whoever decides which broker that is.</summary>
internal abstract class LeaderGrain : Grain, IPartitionGrain
{
    public abstract Task<PartitionAppendResult> AppendAsync(PartitionAppend request);

    public abstract Task<ErrorCode> WriteMarkerAsync(TransactionMarker marker);

    public Task<PartitionReadResult> FetchAsync(PartitionRead request) => ReadAsync(
        request, request.TopicId, static (leader, read, stopping) => leader.FetchAsync(read, stopping),
        static error => LeaderLog.RejectRead(error));

    public Task<PartitionOffsets> WaitForOffsetAsync(PartitionWait request) => ReadAsync(
        request, request.TopicId, static (leader, wait, stopping) => leader.WaitForOffsetAsync(wait, stopping),
        static error => LeaderLog.RejectWait(error));

    public Task<ListOffsetResponse> ListOffsetAsync(ListOffsetRequest request) => ReadAsync(
        request, request.TopicId, static (leader, list, _) => leader.ListOffsetAsync(list), static error => new ListOffsetResponse(error));

    public Task<DeleteRecordsResponse> DeleteRecordsAsync(long beforeOffset, Guid topicId) => ReadAsync(
        beforeOffset, topicId, static (leader, before, _) => leader.DeleteRecordsAsync(before),
        static error => new DeleteRecordsResponse(error));

    public Task<EpochEndResponse> GetEpochEndAsync(int currentLeaderEpoch, int leaderEpoch, Guid topicId) => ReadAsync(
        (currentLeaderEpoch, leaderEpoch), topicId,
        static (leader, epochs, _) => Task.FromResult(leader.GetEpochEnd(epochs.currentLeaderEpoch, epochs.leaderEpoch)),
        static error => new EpochEndResponse(error));

    public Task<PartitionProducers> DescribeProducersAsync(Guid topicId) => ReadAsync(
        0, topicId, static (leader, _, _) => leader.DescribeProducersAsync(), static error => new PartitionProducers(error, []));

    public abstract Task<PartitionDescription> DescribeAsync();

    public abstract Task ReconfigureAsync();

    public abstract Task DeleteAsync(Guid topicId);

    /// <summary>Calls the log and maps its exceptions to error codes: it failed, or was closed because the partition moves.</summary>
    protected abstract Task<T> ReadAsync<TRequest, T>(
        TRequest request, Guid topicId, Func<LeaderLog, TRequest, CancellationToken, Task<T>> read, Func<ErrorCode, T> reject);
}
