using System.Buffers;
using System.Buffers.Binary;
using K4os.Compression.LZ4;
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

    /// <summary>Kafka's default, with which it compresses fast; the levels around it stand for high compression.</summary>
    private const int FastLevel = 9;
    private const int MinHighLevel = (int)LZ4Level.L03_HC;
    private const int MaxHighLevel = (int)LZ4Level.L12_MAX;

    /// <summary>Magic, version 01 with independent blocks, block size 4 (64 KiB), header checksum.</summary>
    private static ReadOnlySpan<byte> FrameHeader => [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];

    public static void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination, int? level)
    {
        LZ4Level effort = level is null or FastLevel ? LZ4Level.L00_FAST : (LZ4Level)Math.Clamp(level.Value, MinHighLevel, MaxHighLevel);
        destination.Write(FrameHeader);
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> block = source[..Math.Min(source.Length, BlockSize)];
            Span<byte> free = destination.GetSpan(sizeof(uint) + BlockCodec.MaximumOutputSize(block.Length));
            int size = BlockCodec.Encode(block, free[sizeof(uint)..], effort);
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

    /// <summary>Reads the first frame. What follows it is left alone, as every Kafka client does.</summary>
    public static ValidationResult TryDecompress<TOutput>(ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        var frame = new FrameReader(source);
        return frame.TryRead(ref output, maxOutput);
    }

    /// <inheritdoc cref="Lz4Frames.IsLinked"/>
    public static bool IsLinked(ReadOnlySpan<byte> source) =>
        source.Length >= FrameReader.MinHeaderSize && BinaryPrimitives.ReadUInt32LittleEndian(source) == FrameMagic
        && source[4] >> 6 == 1 && (source[4] & FrameReader.IndependentBit) == 0;

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("lz4", reason);

    private static uint HashOf(ReadOnlySpan<byte> bytes) => XXH32.DigestOf(bytes);

    /// <summary>Reads one frame from the front of its bytes.</summary>
    private ref struct FrameReader(ReadOnlySpan<byte> source)
    {
        public const int MinHeaderSize = 7;
        public const int IndependentBit = 0x20;

        private ReadOnlySpan<byte> _rest = source;
        private bool _isIndependent;
        private bool _hasBlockChecksum;
        private bool _hasContentChecksum;
        private long? _contentSize;
        private int _maxBlockSize;
        private int _written;
        private XXH32.State _contentHash;

        public ValidationResult TryRead<TOutput>(ref TOutput output, int maxOutput)
            where TOutput : struct, IDecompressionOutput, allows ref struct
        {
            bool wantsMore = true;
            ValidationResult result = TryReadHeader();
            while (result.IsOk && wantsMore)
            {
                if (!TryReadNumber(out uint size))
                    return Corrupt("it ends early");

                if (size == 0)
                    return TryReadEnd();

                result = TryReadBlock(size, ref output, maxOutput, out wantsMore);
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

            _isIndependent = (flags & IndependentBit) != 0;
            _hasBlockChecksum = (flags & 0x10) != 0;
            _hasContentChecksum = (flags & 0x04) != 0;
            XXH32.Reset(ref _contentHash);
            _contentSize = hasContentSize ? BinaryPrimitives.ReadInt64LittleEndian(_rest[6..]) : null;
            _maxBlockSize = 1 << maxBlockBits;
            _rest = _rest[size..];
            return ValidationResult.Ok;
        }

        private ValidationResult TryReadBlock<TOutput>(uint sizeField, ref TOutput output, int maxOutput, out bool wantsMore)
            where TOutput : struct, IDecompressionOutput, allows ref struct
        {
            wantsMore = false;
            bool isStored = (sizeField & StoredBit) != 0;
            int size = (int)(sizeField & ~StoredBit);
            if (size > _maxBlockSize || size > _rest.Length)
                return Corrupt("a block runs past its end");

            ReadOnlySpan<byte> block = _rest[..size];
            _rest = _rest[size..];
            if (_hasBlockChecksum && (!TryReadNumber(out uint checksum) || checksum != HashOf(block)))
                return Corrupt("a block's checksum is wrong");

            int capacity = isStored ? size : (int)Math.Min(_maxBlockSize, (long)size * MaxExpansion);
            int window = _isIndependent ? 0 : Math.Min(_written, WindowSize);
            Span<byte> free = output.GetSpan(Math.Max(1, capacity), window)[..capacity];
            int written = isStored ? size : Decode(block, free, output.Window[^window..]);
            if (written < 0)
                return Corrupt("a block is malformed");

            if (written > maxOutput - _written)
                return Codec.TooLarge("lz4", maxOutput);

            if (isStored)
                block.CopyTo(free);

            _written += written;
            if (_hasContentChecksum)
                XXH32.Update(ref _contentHash, free[..written]);

            wantsMore = output.Advance(written);
            return ValidationResult.Ok;
        }

        private static int Decode(ReadOnlySpan<byte> block, Span<byte> output, ReadOnlySpan<byte> window) =>
            window.IsEmpty ? BlockCodec.Decode(block, output) : BlockCodec.Decode(block, output, window);

        private ValidationResult TryReadEnd()
        {
            if (_contentSize is { } size && size != _written)
                return Corrupt($"it holds {_written} bytes instead of {size}");

            return _hasContentChecksum && (!TryReadNumber(out uint checksum) || checksum != XXH32.Digest(_contentHash))
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
