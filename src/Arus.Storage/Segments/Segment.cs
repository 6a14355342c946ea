using System.Globalization;

namespace Arus.Storage;

/// <summary>
/// One segment: a file of batches named by the offset of the first. Everything is guarded by the log's state lock and speaks of
/// committed bytes; what a group commit under way has written beyond, nobody reads.
/// </summary>
internal sealed class Segment(string directory, long baseOffset, OpenFiles files, SegmentIndex? index)
{
    public const string LogSuffix = ".log";
    public const string IndexSuffix = ".index";
    public const string SnapshotSuffix = ".snapshot";

    public long BaseOffset { get; } = baseOffset;

    public SharedFile File { get; } = new(files, PathOf(directory, baseOffset, LogSuffix));

    public string IndexPath { get; } = PathOf(directory, baseOffset, IndexSuffix);

    /// <summary>Null for a full segment whose index was not needed yet.</summary>
    public SegmentIndex? Index { get; set; } = index;

    /// <summary>Bytes.</summary>
    public int Size { get; set; }

    /// <summary>The offset after the last batch; the base offset while there is none.</summary>
    public long NextOffset { get; set; } = baseOffset;

    /// <summary>Unix milliseconds; -1 while there is no batch.</summary>
    public long MaxTimestamp { get; set; } = RecordBatchHeader.NoTimestamp;

    /// <summary>Where the first batch with that timestamp begins.</summary>
    public int MaxTimestampPosition { get; set; }

    /// <summary>When the first batch was appended, Unix milliseconds; after a restart, that batch's own timestamp. -1 while there is none.</summary>
    public long FirstAppendMs { get; set; } = -1;

    /// <summary>When the last batch was appended, in the same way.</summary>
    public long LastAppendMs { get; set; } = -1;

    /// <summary>Whether all of it is on stable storage; only a full segment can be.</summary>
    public bool Synced { get; set; }

    public static string PathOf(string directory, long offset, string suffix) =>
        Path.Combine(directory, offset.ToString("D20", CultureInfo.InvariantCulture) + suffix);

    public static bool TryParse(string name, string suffix, out long offset)
    {
        offset = 0;
        return name.Length == 20 + suffix.Length && name.EndsWith(suffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out offset);
    }

    /// <summary>Takes note of a batch that was written at <see cref="Size"/>.</summary>
    public void Add(long batchBaseOffset, long batchNextOffset, int length, long maxTimestamp, long nowMs)
    {
        Index!.Add(checked((int)(batchBaseOffset - BaseOffset)), Size, MaxTimestamp);
        if (maxTimestamp > MaxTimestamp)
        {
            MaxTimestamp = maxTimestamp;
            MaxTimestampPosition = Size;
        }

        if (FirstAppendMs < 0)
        {
            FirstAppendMs = nowMs;
        }

        LastAppendMs = nowMs;
        Size += length;
        NextOffset = batchNextOffset;
    }

    public override string ToString() => File.Path;
}
