using System.Collections.Immutable;

namespace Arus.Coordination.Replication;

/// <summary>From which offset on a leader epoch wrote.</summary>
public readonly record struct EpochStartOffset(int Epoch, long StartOffset);

/// <summary>An open log as the machine sees it: what it answers is in memory.</summary>
public interface IReplicaLog
{
    /// <summary>Changes when acknowledged records may be missing.</summary>
    Guid LogId { get; }

    /// <summary>The epoch below which leaders are refused; durable.</summary>
    int FencedEpoch { get; }

    long LogStartOffset { get; }

    /// <summary>Where the log ends on disk, to the configured degree.</summary>
    long DurableEndOffset { get; }

    /// <summary>Where the next record would go, whether those before it are durable or not.</summary>
    long LogEndOffset { get; }

    /// <summary>As checkpointed, or as last advanced; never above the durable end.</summary>
    long HighWatermark { get; }

    /// <summary>Both grow along the list.</summary>
    ImmutableArray<EpochStartOffset> Epochs { get; }
}
