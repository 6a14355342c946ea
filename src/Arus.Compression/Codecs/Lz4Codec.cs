using System.Buffers;
using System.Buffers.Binary;
using K4os.Hash.xxHash;
using BlockCodec = K4os.Compression.LZ4.LZ4Codec;

namespace Arus.Compression;

/// <summary>
/// The LZ4 frame format (lz4_Frame_format.md, version 1.6). Frames are written as Kafka's Java reader demands: independent blocks of
/// 64 KiB, no content size, and a header checksum over the descriptor alone (KIP-57). All of the format but dictionaries is read.
/// </summary>
internal static class Lz4Codec
{
    private const uint FrameMagic = 0x184D2204;
    private const int BlockSize = 64 * 1024;

    /// <summary>A block's length has this bit when the block is stored as it is.</summary>
    private const uint StoredBit = 0x8000_0000;

    /// <summary>Matches reach back no further, so this much of the output is the dictionary of a linked block.</summary>
    private const int WindowSize = 64 * 1024;

    /// <summary>The longest output of a compressed byte.</summary>
    private const int MaxExpansion = 255;

    /// <summary>Magic, version 01 with independent blocks, block size 4 (64 KiB), header checksum.</summary>
    private static ReadOnlySpan<byte> FrameHeader => [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];

    public static void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination)
    {
        destination.Write(FrameHeader);
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> block = source[..Math.Min(source.Length, BlockSize)];
            Span<byte> free = destination.GetSpan(sizeof(uint) + BlockCodec.MaximumOutputSize(block.Length));
            int size = BlockCodec.Encode(block, free[sizeof(uint)..]);
            bool isStored = size <= 0 || size >= block.Length;
            if (isStored)
            {
                size = block.Length;
                block.CopyTo(free[sizeof(uint)..]);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(free, (uint)size | (isStored ? StoredBit : 0));
            destination.Advance(sizeof(uint) + size);
            source = source[block.Length..];
        }

        BinaryPrimitives.WriteUInt32LittleEndian(destination.GetSpan(sizeof(uint)), 0);
        destination.Advance(sizeof(uint));
    }

    public static ValidationResult TryDecompress(ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput)
    {
        int limit = maxOutput;
        do
        {
            int before = destination.WrittenCount;
            var frame = new FrameReader(source);
            ValidationResult result = frame.TryRead(destination, limit);
            if (!result.IsOk)
                return result.Error == ErrorCode.MessageTooLarge ? Codec.TooLarge("lz4", maxOutput) : result;

            limit -= destination.WrittenCount - before;
            source = frame.Rest;
        }
        while (!source.IsEmpty);

        return ValidationResult.Ok;
    }

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("lz4", reason);

    private static uint HashOf(ReadOnlySpan<byte> bytes) => XXH32.DigestOf(bytes);

    /// <summary>Reads one frame from the front of its bytes.</summary>
    private ref struct FrameReader(ReadOnlySpan<byte> source)
    {
        private const int MinHeaderSize = 7;

        private ReadOnlySpan<byte> _rest = source;
        private bool _isIndependent;
        private bool _hasBlockChecksum;
        private bool _hasContentChecksum;
        private long? _contentSize;
        private int _maxBlockSize;

        /// <summary>What follows the frame.</summary>
        public readonly ReadOnlySpan<byte> Rest => _rest;

        public ValidationResult TryRead(PooledBufferWriter destination, int maxOutput)
        {
            int start = destination.WrittenCount;
            ValidationResult result = TryReadHeader();
            while (result.IsOk)
            {
                if (!TryReadNumber(out uint size))
                    return Corrupt("it ends early");

                if (size == 0)
                    return TryReadEnd(destination.WrittenSpan[start..]);

                result = TryReadBlock(size, destination, start, maxOutput);
            }

            return result;
        }

        private ValidationResult TryReadHeader()
        {
            if (_rest.Length < MinHeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(_rest) != FrameMagic)
                return Corrupt(_rest.Length < MinHeaderSize ? "its frame header is cut short" : "it does not begin with a frame");

            byte flags = _rest[4];
            byte block = _rest[5];
            int maxBlockBits = 8 + (2 * (block >> 4));
            bool hasContentSize = (flags & 0x08) != 0;
            if (flags >> 6 != 1 || (flags & 0x03) != 0 || (block & 0x0F) != 0 || maxBlockBits is < 16 or > 22)
                return Corrupt("its frame is of an unknown version or needs a dictionary");

            int size = MinHeaderSize + (hasContentSize ? sizeof(long) : 0);
            if (_rest.Length < size || _rest[size - 1] != (byte)(HashOf(_rest[4..(size - 1)]) >> 8))
                return Corrupt("its frame header's checksum is wrong");

            _isIndependent = (flags & 0x20) != 0;
            _hasBlockChecksum = (flags & 0x10) != 0;
            _hasContentChecksum = (flags & 0x04) != 0;
            _contentSize = hasContentSize ? BinaryPrimitives.ReadInt64LittleEndian(_rest[6..]) : null;
            _maxBlockSize = 1 << maxBlockBits;
            _rest = _rest[size..];
            return ValidationResult.Ok;
        }

        private ValidationResult TryReadBlock(uint sizeField, PooledBufferWriter destination, int start, int maxOutput)
        {
            bool isStored = (sizeField & StoredBit) != 0;
            int size = (int)(sizeField & ~StoredBit);
            if (size > _maxBlockSize || size > _rest.Length)
                return Corrupt("a block runs past its end");

            ReadOnlySpan<byte> block = _rest[..size];
            _rest = _rest[size..];
            if (_hasBlockChecksum && (!TryReadNumber(out uint checksum) || checksum != HashOf(block)))
                return Corrupt("a block's checksum is wrong");

            int room = maxOutput - (destination.WrittenCount - start);
            int capacity = isStored ? size : (int)Math.Min(_maxBlockSize, (long)size * MaxExpansion);
            Span<byte> free = destination.GetSpan(Math.Max(1, capacity))[..capacity];
            int written = isStored ? size : Decode(block, free, destination.WrittenSpan[start..]);
            if (written < 0)
                return Corrupt("a block is malformed");

            if (written > room)
                return Codec.TooLarge("lz4", maxOutput);

            if (isStored)
                block.CopyTo(free);

            destination.Advance(written);
            return ValidationResult.Ok;
        }

        private readonly int Decode(ReadOnlySpan<byte> block, Span<byte> output, ReadOnlySpan<byte> before) =>
            _isIndependent || before.IsEmpty
                ? BlockCodec.Decode(block, output)
                : BlockCodec.Decode(block, output, before[^Math.Min(before.Length, WindowSize)..]);

        private ValidationResult TryReadEnd(ReadOnlySpan<byte> content)
        {
            if (_contentSize is { } size && size != content.Length)
                return Corrupt($"it holds {content.Length} bytes instead of {size}");

            return _hasContentChecksum && (!TryReadNumber(out uint checksum) || checksum != HashOf(content))
                ? Corrupt("its content's checksum is wrong")
                : ValidationResult.Ok;
        }

        private bool TryReadNumber(out uint value)
        {
            bool fits = BinaryPrimitives.TryReadUInt32LittleEndian(_rest, out value);
            _rest = fits ? _rest[sizeof(uint)..] : _rest;
            return fits;
        }
    }
}
