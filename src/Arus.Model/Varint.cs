namespace Arus;

/// <summary>The zigzag varints of records (Protocol Buffers' sint32 and sint64).</summary>
public static class Varint
{
    public const int MaxLength32 = 5;
    public const int MaxLength64 = 10;

    /// <summary>The number of bytes that <see cref="Write"/> writes.</summary>
    public static int SizeOf(long value)
    {
        ulong zigzag = (ulong)((value << 1) ^ (value >> 63));
        return (70 - System.Numerics.BitOperations.LeadingZeroCount(zigzag | 1)) / 7;
    }

    /// <summary>Writes to the start of <paramref name="destination"/> and returns the number of bytes.</summary>
    public static int Write(Span<byte> destination, long value)
    {
        ulong zigzag = (ulong)((value << 1) ^ (value >> 63));
        int length = 0;
        while (zigzag >= 0x80)
        {
            destination[length++] = (byte)(zigzag | 0x80);
            zigzag >>= 7;
        }

        destination[length++] = (byte)zigzag;
        return length;
    }

    /// <summary>Reads at <paramref name="position"/> and advances it; not on failure (the input ends, or too many bytes).</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, ref int position, out long value)
    {
        int at = position;
        ulong zigzag = 0;
        for (int shift = 0; shift < 70 && (uint)at < (uint)source.Length; shift += 7)
        {
            byte b = source[at++];
            if (shift == 63 && b > 1)
                break;

            zigzag |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                value = (long)(zigzag >> 1) ^ -(long)(zigzag & 1);
                position = at;
                return true;
            }
        }

        value = 0;
        return false;
    }

    /// <summary>Like <see cref="TryRead(ReadOnlySpan{byte}, ref int, out long)"/>, for a number that must fit 32 bits.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, ref int position, out int value)
    {
        int at = position;
        if (TryRead(source, ref at, out long wide) && wide is >= int.MinValue and <= int.MaxValue)
        {
            position = at;
            value = (int)wide;
            return true;
        }

        value = 0;
        return false;
    }
}
