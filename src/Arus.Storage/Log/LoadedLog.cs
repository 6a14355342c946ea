using LogCheckpoint = Arus.Protocol.LogCheckpoint;

namespace Arus.Storage;

/// <summary>What was found in a partition's directory.</summary>
internal sealed class LoadedLog
{
    public List<Segment> Segments { get; } = [];

    public LeaderEpochs Epochs { get; set; } = new();

    public ProducerStateManager Producers { get; set; } = new();

    /// <summary>Those that are open at the log's end, or ended perhaps above the high watermark.</summary>
    public TransactionOffsets Transactions { get; set; } = new();

    public long LogStartOffset { get; set; }

    public long LogEndOffset { get; set; }

    public LogCheckpoint? Checkpoint { get; set; }

    /// <summary>Of a replicated log.</summary>
    public LoadedReplica? Replica { get; set; }

    /// <summary>Of a replicated log the first offset that was damaged or missing, and the log's end since; null without.</summary>
    public long? DamagedFrom { get; set; }

    /// <summary>Whether the log ends before its recovery point.</summary>
    public bool IsTailMissing { get; set; }
}
