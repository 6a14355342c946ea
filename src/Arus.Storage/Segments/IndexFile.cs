using System.Buffers.Binary;

namespace Arus.Storage;

/// <summary>
/// The index file of a segment: its size, its greatest timestamp and where that is, the times of its first and last append, then
/// the sparse entries. It tells everything about a full segment, so that opening a log reads no segment but the last. It is
/// not synced: a damaged one is made anew from the segment.
/// </summary>
internal static class IndexFile
{
    public const short Version = 1;
    private const int HeaderSize = 4 + 8 + 8 + 4 + 8 + 8;
    private const int EntrySize = 4 + 4 + 8;

    public static ReadOnlySpan<byte> Magic => "AIDX"u8;

    /// <summary>Called under the log's lock, or with a segment that changes no more.</summary>
    public static byte[] Serialize(Segment segment)
    {
        ReadOnlySpan<IndexEntry> entries = segment.Index!.Entries;
        byte[] content = new byte[HeaderSize + (entries.Length * EntrySize)];
        Span<byte> at = content;
        BinaryPrimitives.WriteInt32BigEndian(at, segment.Size);
        BinaryPrimitives.WriteInt64BigEndian(at[4..], segment.NextOffset);
        BinaryPrimitives.WriteInt64BigEndian(at[12..], segment.MaxTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(at[20..], segment.MaxTimestampPosition);
        BinaryPrimitives.WriteInt64BigEndian(at[24..], segment.FirstAppendMs);
        BinaryPrimitives.WriteInt64BigEndian(at[32..], segment.LastAppendMs);
        at = at[HeaderSize..];
        foreach (IndexEntry entry in entries)
        {
            BinaryPrimitives.WriteInt32BigEndian(at, entry.RelativeOffset);
            BinaryPrimitives.WriteInt32BigEndian(at[4..], entry.Position);
            BinaryPrimitives.WriteInt64BigEndian(at[8..], entry.MaxTimestampBefore);
            at = at[EntrySize..];
        }

        return DurableFile.Frame(Magic, Version, content);
    }

    /// <summary>Fills the segment from its index file; false, with the reason, when the file cannot serve.</summary>
    public static bool TryLoad(ILogFileSystem fileSystem, Segment segment, int indexInterval, out string? problem)
    {
        byte[]? content = DurableFile.Read(fileSystem, segment.IndexPath, Magic, Version, out problem);
        if (content is null)
        {
            return false;
        }

        if (content.Length < HeaderSize || (content.Length - HeaderSize) % EntrySize != 0)
        {
            problem = "its length does not fit its entries";
            return false;
        }

        ReadOnlySpan<byte> at = content;
        segment.Size = BinaryPrimitives.ReadInt32BigEndian(at);
        segment.NextOffset = BinaryPrimitives.ReadInt64BigEndian(at[4..]);
        segment.MaxTimestamp = BinaryPrimitives.ReadInt64BigEndian(at[12..]);
        segment.MaxTimestampPosition = BinaryPrimitives.ReadInt32BigEndian(at[20..]);
        segment.FirstAppendMs = BinaryPrimitives.ReadInt64BigEndian(at[24..]);
        segment.LastAppendMs = BinaryPrimitives.ReadInt64BigEndian(at[32..]);
        at = at[HeaderSize..];
        var entries = new IndexEntry[at.Length / EntrySize];
        for (int i = 0; i < entries.Length; i++, at = at[EntrySize..])
        {
            entries[i] = new IndexEntry(
                BinaryPrimitives.ReadInt32BigEndian(at), BinaryPrimitives.ReadInt32BigEndian(at[4..]), BinaryPrimitives.ReadInt64BigEndian(at[8..]));
        }

        segment.Index = new SegmentIndex(indexInterval, entries);
        return true;
    }
}
