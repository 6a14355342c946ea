using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>An open log as the replication machine sees it. Safe for use by any thread.</summary>
internal sealed class ReplicaLog(IPartitionLog log) : IReplicaLog
{
    public IPartitionLog Log { get; } = log;

    public Guid LogId => Log.LogId;

    public int FencedEpoch => Log.FencedEpoch;

    public long LogStartOffset => Log.LogStartOffset;

    public long DurableEndOffset => Log.DurableEndOffset;

    public long LogEndOffset => Log.LogEndOffset;

    public long HighWatermark => Log.HighWatermark;

    public ImmutableArray<EpochStartOffset> Epochs =>
        [.. Log.Epochs.Select(epoch => new EpochStartOffset(epoch.Epoch, epoch.StartOffset))];
}
