using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="ILocalFollowers"/>
/// <remarks>
/// A follower may be behind, but not for long and never beside the truth: it serves only while it is in sync by the image, its log is
/// fenced and cut for the leader of the present epoch, and a lease that it granted that leader holds, so that it has heard from the leader
/// a moment ago. A broker that was removed from the replicas, or is cut off, serves nothing of the partition within the length of a lease.
/// </remarks>
internal sealed class FollowerReads(
    ReplicationHost host, PartitionImage image, LocalBroker broker, MachinePump pump, ReplicationMetrics metrics) : ILocalFollowers
{
    public async Task<PartitionReadResult?> FetchAsync(TopicPartition partition, PartitionRead request)
    {
        // Whether a reader's history is the partition's is a verdict, which the leader gives.
        if (request.LastFetchedEpoch is not null || Find(partition, request.TopicId) is not { } follower)
            return null;

        try
        {
            PartitionReadResult read = await follower.FetchAsync(request, CancellationToken.None);
            if (read.Error == ErrorCode.OffsetOutOfRange)
            {
                return IsBeforeStart(follower, request.Offset)
                    ? null : LeaderLog.RejectRead(ErrorCode.OffsetNotAvailable, read.LeaderEpoch);
            }

            metrics.ReadFromFollower(read.Records.SizeInBytes);
            return read;
        }
        catch (Exception e) when (IsOfLog(e))
        {
            return null;
        }
    }

    public async Task<PartitionOffsets?> WaitForOffsetAsync(TopicPartition partition, PartitionWait request)
    {
        if (Find(partition, request.TopicId) is not { } follower)
            return null;

        try
        {
            PartitionOffsets offsets = await follower.WaitForOffsetAsync(request, CancellationToken.None);
            return offsets.Error != ErrorCode.OffsetOutOfRange ? offsets
                : IsBeforeStart(follower, request.AfterOffset) ? null
                : LeaderLog.RejectWait(ErrorCode.OffsetNotAvailable, offsets.LeaderEpoch);
        }
        catch (Exception e) when (IsOfLog(e))
        {
            return null;
        }
    }

    /// <summary>Retention may have removed here what the leader still has.</summary>
    private static bool IsBeforeStart(LeaderLog follower, long offset) => offset < follower.Log.LogStartOffset;

    /// <summary>The log is damaged, failed or was closed; the leader's is another one.</summary>
    private static bool IsOfLog(Exception e) => e is LogException or ObjectDisposedException || StorageFailure.Is(e);

    private LeaderLog? Find(TopicPartition partition, Guid topicId)
    {
        PartitionState? state = image.Find(partition.Topic, partition.Partition);
        if (state is null || (topicId != Guid.Empty && topicId != state.Id.TopicId))
            return null;

        return host.Find(state.Id)?.Follower is { } follower
            && follower.LeaderEpoch == state.LeaderEpoch
            && follower.Log.FencedEpoch == state.LeaderEpoch
            && state.Isr.Contains(new ReplicaId(broker.BrokerId, follower.Log.LogId))
            && pump.NowMs < pump.Leases.GrantedUntilMs(state.Leader)
            ? follower
            : null;
    }
}
