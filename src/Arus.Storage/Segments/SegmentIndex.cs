using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <param name="RelativeOffset">Of the batch's base offset to the segment's.</param>
/// <param name="Position">Where the batch begins in the segment.</param>
/// <param name="MaxTimestampBefore">The greatest timestamp of all batches before it; -1 for none.</param>
internal readonly record struct IndexEntry(int RelativeOffset, int Position, long MaxTimestampBefore);

/// <summary>
/// The sparse index of one segment, by offset and by time at once: both grow along it. It holds a bounded number of entries, and
/// thins itself when it is full: every second entry goes and the interval doubles. Beside them it has the transactions whose abort
/// marker is in the segment. Guarded by the <see cref="SegmentList"/>'s lock.
/// </summary>
internal sealed class SegmentIndex(int intervalBytes, int maxEntries = SegmentIndex.MaxEntries)
{
    /// <summary>256 KiB of entries, one for each 64 KiB of a segment of 1 GiB.</summary>
    public const int MaxEntries = 16 * 1024;

    /// <summary>Of an entry in the index file.</summary>
    private const int EntryBytes = 16;

    private readonly List<IndexEntry> _entries = [];

    /// <summary>In the order of their markers; null while there is none.</summary>
    private List<LogAbortedTransaction>? _aborted;
    private long _lastPosition = long.MinValue / 2;
    private long _interval = intervalBytes;

    public SegmentIndex(int intervalBytes, IndexEntry[] entries)
        : this(intervalBytes, MaxEntries)
    {
        _entries.AddRange(entries);
        _lastPosition = entries is [.., var last] ? last.Position : _lastPosition;
    }

    /// <summary>An empty index for a new segment (<c>index.interval.bytes</c>, <c>segment.index.bytes</c>).</summary>
    public static SegmentIndex For(TopicConfig config) =>
        new(config.IndexIntervalBytes, Math.Clamp(config.SegmentIndexBytes / EntryBytes, 2, MaxEntries));

    public ReadOnlySpan<IndexEntry> Entries => CollectionsMarshal.AsSpan(_entries);

    public ReadOnlySpan<LogAbortedTransaction> Aborted => CollectionsMarshal.AsSpan(_aborted);

    /// <summary>Adds a transaction whose marker lies behind those of all others.</summary>
    public void Add(LogAbortedTransaction aborted) => (_aborted ??= []).Add(aborted);

    /// <summary>Adds an entry for a batch when the last entry lies far enough back.</summary>
    public void Add(int relativeOffset, int position, long maxTimestampBefore)
    {
        if (_entries.Count == maxEntries && position - _lastPosition >= _interval)
            Thin();

        if (position - _lastPosition >= _interval)
        {
            _entries.Add(new IndexEntry(relativeOffset, position, maxTimestampBefore));
            _lastPosition = position;
        }
    }

    /// <summary>The batch from which to look for an offset: one that begins at or before it.</summary>
    public IndexEntry FloorByOffset(long relativeOffset) =>
        EntryAt(OffsetRange.LastWhere(Entries, relativeOffset, static (entry, key) => entry.RelativeOffset <= key));

    /// <summary>The batch from which to look for a timestamp: all before it are earlier.</summary>
    public IndexEntry FloorByTimestamp(long timestamp) =>
        EntryAt(OffsetRange.LastWhere(Entries, timestamp, static (entry, key) => entry.MaxTimestampBefore < key));

    private IndexEntry EntryAt(int index) => index < 0 ? default : _entries[index];

    private void Thin()
    {
        for (int i = 0; i * 2 < maxEntries; i++)
            _entries[i] = _entries[i * 2];

        _entries.RemoveRange((maxEntries + 1) / 2, maxEntries / 2);
        _interval = Math.Max(1, _interval * 2);
        _lastPosition = _entries[^1].Position;
    }
}
