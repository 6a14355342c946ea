namespace Arus.Storage;

/// <param name="RelativeOffset">Of the batch's base offset to the segment's.</param>
/// <param name="Position">Where the batch begins in the segment.</param>
/// <param name="MaxTimestampBefore">The greatest timestamp of all batches before it; -1 for none.</param>
internal readonly record struct IndexEntry(int RelativeOffset, int Position, long MaxTimestampBefore);

/// <summary>
/// The sparse index of one segment, by offset and by time at once: both grow along it. It holds a bounded number of entries, and
/// thins itself when it is full: every second entry goes and the interval doubles. Guarded by the
/// <see cref="SegmentList"/>'s lock.
/// </summary>
internal sealed class SegmentIndex
{
    /// <summary>256 KiB of entries, one for each 64 KiB of a segment of 1 GiB.</summary>
    public const int MaxEntries = 16 * 1024;

    private readonly int _maxEntries;
    private IndexEntry[] _entries = [];
    private long _lastPosition = long.MinValue / 2;
    private long _interval;

    public SegmentIndex(int intervalBytes, int maxEntries = MaxEntries)
    {
        _interval = intervalBytes;
        _maxEntries = maxEntries;
    }

    public SegmentIndex(int intervalBytes, IndexEntry[] entries)
        : this(intervalBytes)
    {
        _entries = entries;
        Count = entries.Length;
        if (Count > 0)
        {
            _lastPosition = entries[^1].Position;
        }
    }

    public int Count { get; private set; }

    public ReadOnlySpan<IndexEntry> Entries => _entries.AsSpan(0, Count);

    /// <summary>Notes a batch when the last one noted lies far enough back.</summary>
    public void Add(int relativeOffset, int position, long maxTimestampBefore)
    {
        if (position - _lastPosition < _interval)
        {
            return;
        }

        if (Count == _maxEntries)
        {
            Thin();
            if (position - _lastPosition < _interval)
            {
                return;
            }
        }

        if (Count == _entries.Length)
        {
            Array.Resize(ref _entries, Math.Min(_maxEntries, Math.Max(4, Count * 2)));
        }

        _entries[Count++] = new IndexEntry(relativeOffset, position, maxTimestampBefore);
        _lastPosition = position;
    }

    /// <summary>The position from which to look for an offset: that of a batch which begins at or before it.</summary>
    public int FloorByOffset(long relativeOffset) => PositionAt(OffsetRange.LastWhere(Entries, new BeginsAtOrBefore(relativeOffset)));

    /// <summary>The position from which to look for a timestamp: all batches before it are earlier.</summary>
    public int FloorByTimestamp(long timestamp) => PositionAt(OffsetRange.LastWhere(Entries, new FollowsEarlierOnly(timestamp)));

    private int PositionAt(int index) => index < 0 ? 0 : _entries[index].Position;

    private void Thin()
    {
        int kept = 0;
        for (int i = 0; i < Count; i += 2)
        {
            _entries[kept++] = _entries[i];
        }

        Count = kept;
        _interval = Math.Max(1, _interval * 2);
        _lastPosition = _entries[kept - 1].Position;
    }

    private readonly struct BeginsAtOrBefore(long relativeOffset) : IComparable<IndexEntry>
    {
        public int CompareTo(IndexEntry other) => other.RelativeOffset <= relativeOffset ? 1 : -1;
    }

    private readonly struct FollowsEarlierOnly(long timestamp) : IComparable<IndexEntry>
    {
        public int CompareTo(IndexEntry other) => other.MaxTimestampBefore < timestamp ? 1 : -1;
    }
}
