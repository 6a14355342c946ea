using System.Buffers.Binary;
using Snappier;

namespace Arus.Compression;

/// <summary>
/// Snappy in xerial framing, which Kafka's Java clients write and expect: 8 bytes of magic, two versions of 4 bytes, then blocks,
/// each a big-endian length and raw snappy. Other clients write one raw block without framing; both are read.
/// </summary>
internal static class SnappyCodec
{
    private const int FrameHeaderSize = 16;
    private const int FrameBlockSize = 32 * 1024;

    /// <summary>A copy of 64 bytes takes 3, so no input grows more than this; a block that claims more is damaged.</summary>
    private const int MaxExpansion = 64;

    private static ReadOnlySpan<byte> FrameMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination)
    {
        Span<byte> header = destination.GetSpan(FrameHeaderSize);
        FrameMagic.CopyTo(header);
        BinaryPrimitives.WriteInt32BigEndian(header[8..], 1);
        BinaryPrimitives.WriteInt32BigEndian(header[12..], 1);
        destination.Advance(FrameHeaderSize);
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> block = source[..Math.Min(source.Length, FrameBlockSize)];
            Span<byte> free = destination.GetSpan(sizeof(int) + Snappy.GetMaxCompressedLength(block.Length));
            int size = Snappy.Compress(block, free[sizeof(int)..]);
            BinaryPrimitives.WriteInt32BigEndian(free, size);
            destination.Advance(sizeof(int) + size);
            source = source[block.Length..];
        }
    }

    public static ValidationResult TryDecompress<TOutput>(ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        try
        {
            if (!source.StartsWith(FrameMagic))
                return TryDecompressBlock(source, ref output, ref maxOutput, out _);

            if (source.Length < FrameHeaderSize)
                return Corrupt("its frame header is cut short");

            ReadOnlySpan<byte> blocks = source[FrameHeaderSize..];
            ValidationResult result = ValidationResult.Ok;
            bool wantsMore = true;
            while (!blocks.IsEmpty && result.IsOk && wantsMore)
            {
                int size = blocks.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32BigEndian(blocks);
                if (size < 0 || size > blocks.Length - sizeof(int))
                    return Corrupt("a block runs past its end");

                result = TryDecompressBlock(blocks.Slice(sizeof(int), size), ref output, ref maxOutput, out wantsMore);
                blocks = blocks[(sizeof(int) + size)..];
            }

            return result;
        }
        catch (InvalidDataException e)
        {
            return Corrupt(e.Message.TrimEnd('.'));
        }
    }

    private static ValidationResult TryDecompressBlock<TOutput>(
        ReadOnlySpan<byte> block, ref TOutput output, ref int maxOutput, out bool wantsMore)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        wantsMore = false;
        int length = Snappy.GetUncompressedLength(block);
        if (length > maxOutput)
            return Codec.TooLarge("snappy", maxOutput);

        if (length < 0 || length > (long)block.Length * MaxExpansion)
            return Corrupt($"{block.Length} bytes cannot hold the {length} that it claims");

        Span<byte> free = output.GetSpan(Math.Max(1, length))[..length];
        if (!Snappy.TryDecompress(block, free, out int written) || written != length)
            return Corrupt("it ends early");

        wantsMore = output.Advance(length);
        maxOutput -= length;
        return ValidationResult.Ok;
    }

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("snappy", reason);
}
