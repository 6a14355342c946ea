using System.Buffers.Binary;
using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// The index file of a segment: its size, its greatest timestamp and where that is, the times of its first and last append, then
/// the sparse entries, then the transactions that were aborted in it. It tells everything about a full segment, so that opening a log
/// reads no segment but the last. It is not synced: a damaged one is made anew from the segment.
/// </summary>
internal static class IndexFile
{
    private const short FirstVersion = 1;

    /// <summary>The first that has aborted transactions; without any the one before is written, which older builds read.</summary>
    private const short TransactionVersion = 2;
    private const int EntrySize = 4 + 4 + 8;
    private const int AbortedSize = 4 * 8;

    private static ReadOnlySpan<byte> Magic => "AIDX"u8;

    /// <summary>Called under the log's lock, or with a segment that changes no more.</summary>
    public static byte[] Serialize(Segment segment)
    {
        // A segment of 1 GiB has a quarter of a million entries, so they are neither objects nor fields of a message: plain spans.
        ReadOnlySpan<IndexEntry> entries = segment.Index!.Entries;
        ReadOnlySpan<LogAbortedTransaction> aborted = segment.Index!.Aborted;
        Debug.Assert(aborted.Length == segment.Header.AbortedCount, "The header counts what the index has.");
        byte[] bytes = new byte[(entries.Length * EntrySize) + (aborted.Length * AbortedSize)];
        Span<byte> at = bytes;
        foreach (IndexEntry entry in entries)
        {
            BinaryPrimitives.WriteInt32BigEndian(at, entry.RelativeOffset);
            BinaryPrimitives.WriteInt32BigEndian(at[4..], entry.Position);
            BinaryPrimitives.WriteInt64BigEndian(at[8..], entry.MaxTimestampBefore);
            at = at[EntrySize..];
        }

        foreach (LogAbortedTransaction transaction in aborted)
        {
            BinaryPrimitives.WriteInt64BigEndian(at, transaction.ProducerId);
            BinaryPrimitives.WriteInt64BigEndian(at[8..], transaction.FirstOffset);
            BinaryPrimitives.WriteInt64BigEndian(at[16..], transaction.LastOffset);
            BinaryPrimitives.WriteInt64BigEndian(at[24..], transaction.LastStableOffset);
            at = at[AbortedSize..];
        }

        return DurableFile.Frame(Magic, aborted.IsEmpty ? FirstVersion : TransactionVersion, segment.Header, bytes);
    }

    /// <summary>Fills the segment from its index file; false, with the reason, when the file cannot serve.</summary>
    /// <param name="size">Of the segment, in bytes; the file has to speak of as many.</param>
    public static bool TryLoad(ILogFileSystem fileSystem, Segment segment, int indexInterval, long size, out string? problem)
    {
        if (DurableFile.ReadFramed(fileSystem, segment.IndexPath, out problem) is not { } framed
            || DurableFile.OpenHeader<SegmentIndexHeader>(framed, Magic, out ReadOnlyMemory<byte> rest, out problem) is not { } header)
        {
            return false;
        }

        long entryBytes = rest.Length - ((long)header.AbortedCount * AbortedSize);
        problem = header.AbortedCount < 0 || entryBytes < 0 || entryBytes % EntrySize != 0 ? "its length does not fit its entries"
            : header.Size != size ? $"it speaks of {header.Size} bytes, and the segment has {size}"
            : null;
        if (problem is not null)
            return false;

        segment.Header = header;
        ReadOnlySpan<byte> at = rest.Span;
        var entries = new IndexEntry[entryBytes / EntrySize];
        for (int i = 0; i < entries.Length; i++, at = at[EntrySize..])
        {
            entries[i] = new IndexEntry(
                BinaryPrimitives.ReadInt32BigEndian(at), BinaryPrimitives.ReadInt32BigEndian(at[4..]),
                BinaryPrimitives.ReadInt64BigEndian(at[8..]));
        }

        segment.Index = new SegmentIndex(indexInterval, entries);
        for (; !at.IsEmpty; at = at[AbortedSize..])
        {
            segment.Index.Add(new LogAbortedTransaction(
                BinaryPrimitives.ReadInt64BigEndian(at), BinaryPrimitives.ReadInt64BigEndian(at[8..]),
                BinaryPrimitives.ReadInt64BigEndian(at[16..]), BinaryPrimitives.ReadInt64BigEndian(at[24..])));
        }

        return true;
    }
}
