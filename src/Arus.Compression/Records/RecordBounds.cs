using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Arus.Compression;

/// <summary>
/// Fast validation of a producer's records: it only tells well-formed from malformed. Every record that is appended is validated, so
/// this is as hot as the CRC; what is wrong with a malformed record, <see cref="RecordReader"/> finds out.
/// </summary>
internal static class RecordBounds
{
    private const int Malformed = -1;

    /// <summary>
    /// Whether the payload is exactly so many well-formed records with offset deltas 0, 1, 2, …: what
    /// <see cref="RecordBatchPayload.Validate"/> demands.
    /// </summary>
    public static bool AreSound(ReadOnlySpan<byte> payload, int count, bool requireKeys)
    {
        // Every read below is checked against the end of its record, which is checked against the payload's.
        ref byte bytes = ref MemoryMarshal.GetReference(payload);
        int least = requireKeys ? 0 : -1;
        int next = 0;
        for (int index = 0; index < count; index++)
        {
            int at = Read(ref bytes, next, payload.Length, out int length);
            if (at < 0 || length <= 0 || length > payload.Length - at)
                return false;

            int end = at + length;
            at = Skip(ref bytes, at + 1, end); // After the attributes, of which no bit is in use: the timestamp.
            if (at < 0)
                return false;

            at = Read(ref bytes, at, end, out int offsetDelta);
            if (at < 0 || offsetDelta != index)
                return false;

            at = Read(ref bytes, at, end, out int key);
            if (at < 0 || key < least || key > end - at)
                return false;

            at = Read(ref bytes, at + Math.Max(0, key), end, out int value);
            if (at < 0 || value < -1 || value > end - at)
                return false;

            at = Read(ref bytes, at + Math.Max(0, value), end, out int headers);
            if (headers > 0)
                at = SkipHeaders(payload[..end], at, headers);

            if (at != end || headers < 0)
                return false;

            // Not "at", which is equal but known later: the processor can begin the next record before it has finished this one.
            next = end;
        }

        return next == payload.Length;
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

    /// <summary>Skips a varint of 64 bits and returns where it ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Skip(ref byte bytes, int at, int end) =>
        at < end && Unsafe.Add(ref bytes, at) < 0x80 ? at + 1
        : at + 1 < end && Unsafe.Add(ref bytes, at + 1) < 0x80 ? at + 2
        : SkipLong(ref bytes, at, end);

    // A local that is passed by reference lives in memory; these return in registers, for the sake of the loop above.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (int Next, int Value) ReadLong(ref byte bytes, int at, int end)
    {
        int position = at;
        return Varint.TryRead(MemoryMarshal.CreateReadOnlySpan(ref bytes, end), ref position, out int value)
            ? (position, value)
            : (Malformed, 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int SkipLong(ref byte bytes, int at, int end)
    {
        int position = at;
        return Varint.TryRead(MemoryMarshal.CreateReadOnlySpan(ref bytes, end), ref position, out long _) ? position : Malformed;
    }

    private static int SkipHeaders(ReadOnlySpan<byte> record, int at, int count) =>
        RecordReader.TrySkipHeaders(record, ref at, count) ? at : Malformed;
}
