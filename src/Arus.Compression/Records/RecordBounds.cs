using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Arus.Compression;

/// <summary>
/// Reads records that lie in memory as a whole, as fast as can be: every record that is appended passes here, so this is as hot as the
/// CRC. It stops before what is not well-formed or not whole, and leaves that to <see cref="RecordScanner{TVisitor}"/>.
/// </summary>
internal static class RecordBounds
{
    private const int Malformed = -1;

    /// <summary>Reads and visits whole records, and returns where it stopped.</summary>
    /// <param name="next">Where the first record begins.</param>
    /// <param name="count">The record count in the batch's header; no more are read.</param>
    /// <param name="maxLength">It stops before a longer record.</param>
    /// <param name="index">The index of the next record.</param>
    /// <param name="hasEnded">Set when the visitor ends the walk.</param>
    public static int ReadWhole<TVisitor>(
        ReadOnlySpan<byte> piece, int next, int count, int maxLength, ref TVisitor visitor, ref int index, ref bool hasEnded)
        where TVisitor : struct, IRecordVisitor
    {
        // Every read below is checked against the end of its record, which is checked against the piece's.
        ref byte bytes = ref MemoryMarshal.GetReference(piece);
        TVisitor local = visitor; // What is passed by reference lives in memory, a local in registers.
        int current = index;
        while (current < count && !hasEnded)
        {
            int at = Read(ref bytes, next, piece.Length, out int length);
            if (at < 0 || length <= 0 || length > maxLength || length > piece.Length - at)
                break;

            int end = at + length;
            at = ReadTimestamp(ref bytes, at + 1, end, out long timestamp); // After the attributes, of which no bit is in use.
            if (at < 0)
                break;

            at = Read(ref bytes, at, end, out int offset);
            if (at < 0)
                break;

            at = Read(ref bytes, at, end, out int key);
            if (at < 0 || key < -1 || key > end - at)
                break;

            at = Read(ref bytes, at + Math.Max(0, key), end, out int value);
            if (at < 0 || value < -1 || value > end - at)
                break;

            at = Read(ref bytes, at + Math.Max(0, value), end, out int headers);
            if (headers > 0)
                at = SkipHeaders(ref bytes, at, end, headers);

            if (at != end || headers < 0)
                break;

            // Not "at", which is equal but known later: the processor can begin the next record before it has finished this one.
            next = end;
            hasEnded = !local.Visit(current++, timestamp, offset, key < 0);
        }

        visitor = local;
        index = current;
        return next;
    }

    /// <summary>Reads a varint of 32 bits and returns where it ends. Nearly every length and delta takes one or two bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Read(ref byte bytes, int at, int end, out int value)
    {
        if (at < end)
        {
            uint first = Unsafe.Add(ref bytes, at);
            if (first < 0x80)
            {
                value = (int)(first >> 1) ^ -(int)(first & 1);
                return at + 1;
            }

            if (at + 1 < end)
            {
                uint second = Unsafe.Add(ref bytes, at + 1);
                if (second < 0x80)
                {
                    uint zigzag = (first & 0x7F) | (second << 7);
                    value = (int)(zigzag >> 1) ^ -(int)(zigzag & 1);
                    return at + 2;
                }
            }
        }

        (int next, value) = ReadLong(ref bytes, at, end);
        return next;
    }

    /// <summary>Reads a varint of 64 bits and returns where it ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ReadTimestamp(ref byte bytes, int at, int end, out long value)
    {
        if (at < end)
        {
            uint first = Unsafe.Add(ref bytes, at);
            if (first < 0x80)
            {
                value = (int)(first >> 1) ^ -(int)(first & 1);
                return at + 1;
            }
        }

        (int next, value) = ReadLongTimestamp(ref bytes, at, end);
        return next;
    }

    // A local that is passed by reference lives in memory; these return in registers, for the sake of the loop above.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (int Next, int Value) ReadLong(ref byte bytes, int at, int end)
    {
        int position = at;
        return Varint.TryRead(MemoryMarshal.CreateReadOnlySpan(ref bytes, end), ref position, out int value)
            && position - at <= Varint.MaxLength32
            ? (position, value)
            : (Malformed, 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (int Next, long Value) ReadLongTimestamp(ref byte bytes, int at, int end)
    {
        int position = at;
        return Varint.TryRead(MemoryMarshal.CreateReadOnlySpan(ref bytes, end), ref position, out long value)
            ? (position, value)
            : (Malformed, 0);
    }

    private static int SkipHeaders(ref byte bytes, int at, int end, int count)
    {
        for (int i = 0; i < count; i++)
        {
            at = Read(ref bytes, at, end, out int name);
            if (at < 0 || name < 0 || name > end - at)
                return Malformed;

            at = Read(ref bytes, at + name, end, out int value);
            if (at < 0 || value < -1 || value > end - at)
                return Malformed;

            at += Math.Max(0, value);
        }

        return at;
    }
}
