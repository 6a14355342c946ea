using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <summary>
/// A stretch of recent batches in one array that the garbage collector owns. Bytes are written once, behind what is published, and
/// never again, so that slices of it may be handed out. Metadata is guarded by the <see cref="SegmentList"/>'s lock.
/// </summary>
internal sealed class TailChunk(TailCache owner, byte[] bytes, long baseOffset) : IOffsetRange
{
    private const int MaxMarks = 64;

    private readonly List<(long Offset, int Position)> _marks = [];

    public TailCache Owner { get; } = owner;

    public byte[] Bytes { get; } = bytes;

    public long BaseOffset { get; } = baseOffset;

    /// <summary>The offset after the last committed batch.</summary>
    public long NextOffset { get; private set; } = baseOffset;

    /// <summary>Bytes that readers may see.</summary>
    public int Committed { get; private set; }

    int IOffsetRange.Size => Committed;

    /// <summary>Bytes that are taken by appends; only the appender uses it.</summary>
    public int Reserved { get; set; }

    /// <summary>Used since the budget last looked.</summary>
    public bool Referenced { get; set; } = true;

    public bool IsDropped { get; set; }

    /// <summary>A reader has had it, and may hold slices of it for ever.</summary>
    public bool WasRead { get; set; }

    /// <summary>Readers that have slices of it and will say when they have done with them.</summary>
    public int Leases { get; set; }

    /// <summary>Nobody has slices of it: its memory can be used again.</summary>
    public bool IsUnseen => !WasRead && Leases == 0;

    /// <summary>Publishes the batch that follows what is committed.</summary>
    public void Commit(long batchOffset, long nextOffset, int length)
    {
        if (_marks.Count == 0 || Committed - _marks[^1].Position >= Bytes.Length / MaxMarks)
            _marks.Add((batchOffset, Committed));

        Committed += length;
        NextOffset = nextOffset;
        Debug.Assert(Committed <= Reserved && Reserved <= Bytes.Length, "Only bytes that an append has reserved are committed.");
    }

    /// <summary>A position at or before the batch that holds the offset.</summary>
    public int Floor(long offset)
    {
        int index = OffsetRange.LastWhere(CollectionsMarshal.AsSpan(_marks), offset, static (mark, key) => mark.Offset <= key);
        return index < 0 ? 0 : _marks[index].Position;
    }
}
