using System.Buffers;
using System.Buffers.Binary;

namespace Arus;

/// <summary>
/// Snappy in xerial framing, which Kafka's Java clients write and expect: 8 bytes of magic, two versions of 4 bytes, then blocks,
/// each a big-endian length and raw snappy. Other clients write one raw block without framing; both are read.
/// </summary>
internal static class SnappyCodec
{
    private const int FrameHeaderSize = 16;
    private const int FrameBlockSize = 32 * 1024;

    private static ReadOnlySpan<byte> FrameMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static void Compress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination)
    {
        Span<byte> header = destination.GetSpan(FrameHeaderSize);
        FrameMagic.CopyTo(header);
        BinaryPrimitives.WriteInt32BigEndian(header[8..], 1);
        BinaryPrimitives.WriteInt32BigEndian(header[12..], 1);
        destination.Advance(FrameHeaderSize);
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> block = source[..Math.Min(source.Length, FrameBlockSize)];
            Span<byte> free = destination.GetSpan(sizeof(int) + SnappyBlock.MaxCompressedLength(block.Length));
            int size = SnappyBlock.Compress(block, free[sizeof(int)..]);
            BinaryPrimitives.WriteInt32BigEndian(free, size);
            destination.Advance(sizeof(int) + size);
            source = source[block.Length..];
        }
    }

    public static ValidationResult TryDecompress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        if (!source.StartsWith(FrameMagic))
        {
            return SnappyBlock.TryDecompress(source, destination, maxOutput, out _);
        }

        if (source.Length < FrameHeaderSize)
        {
            return SnappyBlock.Corrupt("its frame header is cut short");
        }

        ReadOnlySpan<byte> blocks = source[FrameHeaderSize..];
        while (!blocks.IsEmpty)
        {
            int size = blocks.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32BigEndian(blocks);
            if (size < 0 || size > blocks.Length - sizeof(int))
            {
                return SnappyBlock.Corrupt("a block runs past its end");
            }

            ValidationResult result = SnappyBlock.TryDecompress(blocks.Slice(sizeof(int), size), destination, maxOutput, out int written);
            if (!result.IsOk)
            {
                return result;
            }

            maxOutput -= written;
            blocks = blocks[(sizeof(int) + size)..];
        }

        return ValidationResult.Ok;
    }
}
