using System.Buffers.Binary;
using System.Text;
using K4os.Hash.xxHash;

namespace Arus.Compression.Tests;

/// <summary>
/// Frames made by hand from the LZ4 frame and block format descriptions, with each of the options that a writer may choose.
/// </summary>
public sealed class Lz4FrameTests
{
    private const string Text = "abcdabcdabcdabcd" + "abcdabcdabcd" + "hello";

    /// <summary>No literals and a match of 12 from 16 bytes back, in the block before; then 5 literals.</summary>
    private static readonly byte[] LinkedBlock = [0x08, 16, 0, 0x50, .. "hello"u8];

    [Fact]
    public void Reads_linked_blocks_with_any_options()
    {
        for (int options = 0; options < 8; options++)
        {
            byte[] frame = Frame(isIndependent: false, (options & 1) != 0, (options & 2) != 0 ? Text.Length : null, (options & 4) != 0);
            Assert.Equal(Text, Read(frame));
            Assert.Equal(Text, Read([.. frame, .. frame])); // Kafka's clients read the first frame, whatever follows it.
            Assert.True(Lz4Frames.IsLinked(frame));
            for (int length = 0; length < frame.Length; length++)
                Assert.Equal(ErrorCode.CorruptMessage, Fail(frame[..length]));
        }
    }

    [Fact]
    public void Refuses_a_match_that_leaves_an_independent_block() =>
        Assert.Equal(ErrorCode.CorruptMessage, Fail(Frame(isIndependent: true, false, null, false)));

    [Fact]
    public void Refuses_content_of_another_size_or_checksum()
    {
        Assert.Equal(ErrorCode.CorruptMessage, Fail(Frame(isIndependent: false, false, Text.Length + 1, false)));
        foreach (bool ofBlock in (bool[])[false, true])
        {
            byte[] frame = Frame(isIndependent: false, ofBlock, null, !ofBlock);

            // The last byte of the content's checksum, or of that of the block before the end mark.
            frame[^(ofBlock ? 5 : 1)] ^= 1;
            Assert.Equal(ErrorCode.CorruptMessage, Fail(frame));
        }
    }

    [Theory]
    [InlineData(0x00)] // Another version.
    [InlineData(0x61)] // A dictionary.
    [InlineData(0x62)] // A reserved bit.
    public void Refuses_frames_that_cannot_be_read(byte flags) =>
        Assert.Equal(ErrorCode.CorruptMessage, Fail([.. Header([flags, 0x40]), 0, 0, 0, 0]));

    [Fact]
    public void Takes_no_more_memory_than_a_block_can_fill()
    {
        // A block of 4 MiB at most, of which 11 bytes are there.
        byte[] frame = [.. Header([0x60, 0x70]), 11, 0, 0, 0, 0x1F, (byte)'a', 1, 0, 200, 0x50, .. "bcdef"u8, 0, 0, 0, 0];
        using var output = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(CompressionType.Lz4, frame, output, 10_000));
        Assert.Equal(new string('a', 1 + 19 + 200) + "bcdef", Encoding.ASCII.GetString(output.WrittenSpan));
        Assert.Equal(4096, output.Capacity);
    }

    [Fact]
    public void Stores_what_does_not_compress()
    {
        byte[] noise = new byte[100_000];
        new Random(3).NextBytes(noise);
        using var compressed = new PooledBufferWriter();
        Codec.Compress(CompressionType.Lz4, noise, compressed);
        Assert.Equal(7 + 4 + 65_536 + 4 + (100_000 - 65_536) + 4, compressed.WrittenCount);
    }

    private static byte[] Frame(bool isIndependent, bool blockChecksum, long? contentSize, bool contentChecksum)
    {
        int flags = 0x40 | (isIndependent ? 0x20 : 0) | (blockChecksum ? 0x10 : 0) | (contentSize is null ? 0 : 0x08)
            | (contentChecksum ? 0x04 : 0);
        byte[] size = new byte[contentSize is null ? 0 : sizeof(long)];
        if (contentSize is { } value)
            BinaryPrimitives.WriteInt64LittleEndian(size, value);

        byte[] stored = [.. "abcdabcdabcdabcd"u8];
        byte[] Checksum(bool isWanted, byte[] of) => isWanted ? BitConverter.GetBytes(XXH32.DigestOf(of)) : [];
        return
        [
            .. Header([(byte)flags, 0x40, .. size]),
            (byte)stored.Length, 0, 0, 0x80, .. stored, .. Checksum(blockChecksum, stored),
            (byte)LinkedBlock.Length, 0, 0, 0, .. LinkedBlock, .. Checksum(blockChecksum, LinkedBlock),
            0, 0, 0, 0, .. Checksum(contentChecksum, Encoding.ASCII.GetBytes(Text)),
        ];
    }

    private static byte[] Header(byte[] descriptor) => [0x04, 0x22, 0x4D, 0x18, .. descriptor, (byte)(XXH32.DigestOf(descriptor) >> 8)];

    private static string Read(byte[] frame)
    {
        using var output = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(CompressionType.Lz4, frame, output, 2 * Text.Length));
        return Encoding.ASCII.GetString(output.WrittenSpan);
    }

    private static ErrorCode Fail(byte[] frame)
    {
        using var output = new PooledBufferWriter();
        return Codec.TryDecompress(CompressionType.Lz4, frame, output, 2 * Text.Length).Error;
    }
}
