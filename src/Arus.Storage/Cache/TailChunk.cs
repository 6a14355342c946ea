namespace Arus.Storage;

/// <summary>
/// A stretch of recent batches in one array that the garbage collector owns. Bytes are written once, behind what is published, and
/// never again, so that slices of it may be handed out. Metadata is guarded by the log's state lock.
/// </summary>
internal sealed class TailChunk
{
    private const int MaxMarks = 64;

    private readonly List<(long Offset, int Position)> _marks = [];
    private readonly int _markEvery;

    public TailChunk(TailCache owner, byte[] bytes, long baseOffset)
    {
        Owner = owner;
        Bytes = bytes;
        BaseOffset = baseOffset;
        NextOffset = baseOffset;
        _markEvery = bytes.Length / MaxMarks;
    }

    public TailCache Owner { get; }

    public byte[] Bytes { get; }

    public long BaseOffset { get; }

    /// <summary>The offset after the last committed batch.</summary>
    public long NextOffset { get; private set; }

    /// <summary>Bytes that readers may see.</summary>
    public int Committed { get; private set; }

    /// <summary>Bytes that are taken by appends; only the appender uses it.</summary>
    public int Reserved { get; set; }

    /// <summary>Used since the budget last looked.</summary>
    public bool Referenced { get; set; } = true;

    public bool IsDropped { get; set; }

    /// <summary>A reader has had it, and may hold slices of it for ever; otherwise its memory can be used again.</summary>
    public bool WasRead { get; set; }

    /// <summary>Publishes the batch that follows what is committed.</summary>
    public void Commit(long baseOffset, long nextOffset, int length)
    {
        if (_marks.Count == 0 || Committed - _marks[^1].Position >= _markEvery)
        {
            _marks.Add((baseOffset, Committed));
        }

        Committed += length;
        NextOffset = nextOffset;
    }

    /// <summary>A position at or before the batch that holds the offset.</summary>
    public int Floor(long offset)
    {
        int low = 0;
        for (int high = _marks.Count; low < high;)
        {
            int middle = (low + high) >>> 1;
            if (_marks[middle].Offset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low == 0 ? 0 : _marks[low - 1].Position;
    }
}
