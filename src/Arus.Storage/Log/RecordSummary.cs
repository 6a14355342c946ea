using Arus.Compression;

namespace Arus.Storage;

/// <summary>What a leader wants to know of the records of a batch.</summary>
internal struct RecordSummary(long baseTimestamp) : IRecordVisitor
{
    /// <summary>Unix milliseconds; <see cref="long.MaxValue"/> when no record has a timestamp.</summary>
    public long EarliestTimestamp { get; private set; } = long.MaxValue;

    /// <summary>Unix milliseconds; -1 when no record has a timestamp.</summary>
    public long LatestTimestamp { get; private set; } = RecordBatchHeader.NoTimestamp;

    public bool HasNullKeys { get; private set; }

    /// <summary>Whether the offset deltas are 0, 1, 2 and so on.</summary>
    public bool AreNumbered { get; private set; } = true;

    public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
    {
        long timestamp = unchecked(baseTimestamp + timestampDelta);
        if (timestamp < EarliestTimestamp && timestamp != RecordBatchHeader.NoTimestamp)
            EarliestTimestamp = timestamp;

        LatestTimestamp = Math.Max(LatestTimestamp, timestamp);
        HasNullKeys |= isKeyNull;
        AreNumbered &= offsetDelta == index;
        return true;
    }
}
