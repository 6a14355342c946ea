using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;

namespace Arus;

/// <summary>
/// The raw snappy format ("Snappy compressed format description"): the uncompressed length as a varint, then elements, each a tag
/// byte whose low two bits tell a literal (00) from copies with offsets of 11 bits (01), 16 bits (10) and 32 bits (11).
/// </summary>
internal static class SnappyBlock
{
    private const int MaxFragment = 64 * 1024;
    private const int HashBits = 13;
    private const int MinMatch = 4;

    /// <summary>A copy of 64 bytes takes 3, so no input grows more than this; a preamble that claims more is lying.</summary>
    private const int MaxExpansion = 64;

    public static int MaxCompressedLength(int length) => 32 + length + (length / 6);

    public static int Compress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int at = WriteLength(destination, source.Length);
        Span<ushort> table = stackalloc ushort[1 << HashBits];
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> fragment = source[..Math.Min(source.Length, MaxFragment)];
            table.Clear();
            at = CompressFragment(fragment, destination, at, table);
            source = source[fragment.Length..];
        }

        return at;
    }

    public static ValidationResult TryDecompress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput, out int written)
    {
        written = 0;
        int at = 0;
        if (!TryReadLength(source, ref at, out int length))
        {
            return Corrupt("its length is not readable");
        }

        if (length > maxOutput)
        {
            return Compression.TooLarge("snappy", maxOutput);
        }

        if (length > (long)source.Length * MaxExpansion)
        {
            return Corrupt($"{source.Length} bytes cannot hold the {length} that it claims");
        }

        Span<byte> output = destination.GetSpan(Math.Max(1, length))[..length];
        if (!TryReadElements(source[at..], output))
        {
            return Corrupt("an element runs past its bounds, or it ends early");
        }

        written = length;
        destination.Advance(length);
        return ValidationResult.Ok;
    }

    internal static ValidationResult Corrupt(string reason) => ValidationResult.Corrupt($"The snappy data is damaged: {reason}.");

    private static int CompressFragment(ReadOnlySpan<byte> source, Span<byte> destination, int at, Span<ushort> table)
    {
        int literalStart = 0;
        int position = 1;
        int misses = 32;
        while (position + MinMatch <= source.Length)
        {
            uint current = BinaryPrimitives.ReadUInt32LittleEndian(source[position..]);
            ref ushort slot = ref table[(int)((current * 0x1E35A7BD) >> (32 - HashBits))];
            int candidate = slot;
            slot = (ushort)position;
            if (candidate >= position || BinaryPrimitives.ReadUInt32LittleEndian(source[candidate..]) != current)
            {
                // The longer nothing matches, the larger the steps: incompressible input costs little.
                position += misses++ >> 5;
                continue;
            }

            int length = MinMatch + source[(position + MinMatch)..].CommonPrefixLength(source[(candidate + MinMatch)..]);
            at = WriteLiteral(destination, at, source[literalStart..position]);
            at = WriteCopy(destination, at, position - candidate, length);
            position += length;
            literalStart = position;
            misses = 32;
        }

        return WriteLiteral(destination, at, source[literalStart..]);
    }

    private static int WriteLiteral(Span<byte> destination, int at, ReadOnlySpan<byte> literal)
    {
        if (literal.IsEmpty)
        {
            return at;
        }

        int n = literal.Length - 1;
        if (n < 60)
        {
            destination[at++] = (byte)(n << 2);
        }
        else
        {
            int bytes = (31 - BitOperations.LeadingZeroCount((uint)n)) / 8 + 1;
            destination[at++] = (byte)((59 + bytes) << 2);
            for (int i = 0; i < bytes; i++)
            {
                destination[at++] = (byte)(n >> (8 * i));
            }
        }

        literal.CopyTo(destination[at..]);
        return at + literal.Length;
    }

    private static int WriteCopy(Span<byte> destination, int at, int offset, int length)
    {
        while (length > 0)
        {
            // No rest shorter than four: the shortest form of a copy cannot say less.
            int take = length <= 64 ? length : length < 64 + MinMatch ? 64 - MinMatch : 64;
            if (take is >= 4 and <= 11 && offset < 2048)
            {
                destination[at++] = (byte)(1 | ((take - 4) << 2) | ((offset >> 8) << 5));
                destination[at++] = (byte)offset;
            }
            else
            {
                destination[at++] = (byte)(2 | ((take - 1) << 2));
                BinaryPrimitives.WriteUInt16LittleEndian(destination[at..], (ushort)offset);
                at += 2;
            }

            length -= take;
        }

        return at;
    }

    private static bool TryReadElements(ReadOnlySpan<byte> source, Span<byte> output)
    {
        int from = 0;
        int to = 0;
        while (from < source.Length)
        {
            int tag = source[from++];
            int kind = tag & 3;
            int length = tag >> 2;
            int operand = kind == 0 ? Math.Max(0, length - 59) : 1 << (kind - 1);
            if (operand > source.Length - from)
            {
                return false;
            }

            uint extra = ReadLittleEndian(source.Slice(from, operand));
            from += operand;
            if (kind == 0)
            {
                uint literal = (operand == 0 ? (uint)length : extra) + 1;
                if (literal - 1 >= (uint)(source.Length - from) || literal > (uint)(output.Length - to))
                {
                    return false;
                }

                source.Slice(from, (int)literal).CopyTo(output[to..]);
                from += (int)literal;
                to += (int)literal;
                continue;
            }

            uint offset = kind == 1 ? extra | (uint)((tag >> 5) << 8) : extra;
            int copy = kind == 1 ? (length & 7) + 4 : length + 1;
            if (offset - 1 >= (uint)to || copy > output.Length - to)
            {
                return false;
            }

            Copy(output, to, (int)offset, copy);
            to += copy;
        }

        return to == output.Length;
    }

    private static void Copy(Span<byte> output, int to, int offset, int length)
    {
        if (offset >= length)
        {
            output.Slice(to - offset, length).CopyTo(output[to..]);
            return;
        }

        // Source and target overlap: the copy repeats what it has just written.
        for (int i = 0; i < length; i++)
        {
            output[to + i] = output[to + i - offset];
        }
    }

    private static uint ReadLittleEndian(ReadOnlySpan<byte> bytes)
    {
        uint value = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            value |= (uint)bytes[i] << (8 * i);
        }

        return value;
    }

    private static int WriteLength(Span<byte> destination, int length)
    {
        int at = 0;
        uint left = (uint)length;
        for (; left >= 0x80; left >>= 7)
        {
            destination[at++] = (byte)(left | 0x80);
        }

        destination[at++] = (byte)left;
        return at;
    }

    private static bool TryReadLength(ReadOnlySpan<byte> source, ref int at, out int length)
    {
        uint value = 0;
        for (int shift = 0; shift < 35 && at < source.Length; shift += 7)
        {
            byte b = source[at++];
            if (shift == 28 && b > 7)
            {
                break;
            }

            value |= (uint)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                length = (int)value;
                return true;
            }
        }

        length = 0;
        return false;
    }
}
