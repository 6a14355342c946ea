using System.Text;
using Arus.Testing;
using CsCheck;

namespace Arus.Compression.Tests;

public class CodecTests
{
    public static TheoryData<CompressionType> Codecs =>
        [CompressionType.None, CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd];

    [Theory, MemberData(nameof(Codecs))]
    public void Round_trips(CompressionType codec) => Generate.Data.Holds(
        data =>
        {
            using var compressed = new PooledBufferWriter();
            using var output = new PooledBufferWriter();
            Codec.Compress(codec, data, compressed);
            Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(codec, compressed.WrittenSpan, output, data.Length));
            Assert.True(output.WrittenSpan.SequenceEqual(data), "The data differ.");
        },
        cases: 60);

    /// <summary>Bytes from 144 up take 9 bits in zlib's fixed Huffman code, the most of all.</summary>
    [Theory, MemberData(nameof(Codecs))]
    public void Takes_data_that_grows(CompressionType codec)
    {
        var random = new Random(11);
        foreach (int size in (int[])[1, 2, 3, 7, 15, 16, 31, 32, 33, 63, 64, 100, 1_000, 8_191, 8_192, 32_769, 65_536, 100_000, 5_000_000])
        {
            byte[] data = new byte[size];
            random.NextBytes(data);
            for (int i = 0; i < size; i++)
                data[i] = (byte)(144 + (data[i] % 112));

            using var compressed = new PooledBufferWriter();
            using var output = new PooledBufferWriter();
            Codec.Compress(codec, data, compressed);
            Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(codec, compressed.WrittenSpan, output, size));
            Assert.True(output.WrittenSpan.SequenceEqual(data), $"{codec} changed {size} bytes.");
        }
    }

    [Theory, MemberData(nameof(Codecs))]
    public void Refuses_more_output_than_allowed(CompressionType codec)
    {
        byte[] data = new byte[1_000_000];
        using var compressed = new PooledBufferWriter();
        Codec.Compress(codec, data, compressed);
        foreach (int limit in new[] { 0, 1, 65_536, 100_000, data.Length - 1 })
        {
            using var output = new PooledBufferWriter();
            ValidationResult result = Codec.TryDecompress(codec, compressed.WrittenSpan, output, limit);
            Assert.True(result.Error == ErrorCode.MessageTooLarge, $"{codec}, limit {limit}: {result}");
            Assert.InRange(output.WrittenCount, 0, limit);
        }
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public void Says_that_a_prefix_is_damaged(CompressionType codec)
    {
        byte[] data = Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 200)));
        using var compressed = new PooledBufferWriter();
        Codec.Compress(codec, data, compressed);
        for (int length = 0; length < compressed.WrittenCount; length++)
        {
            using var output = new PooledBufferWriter();
            ValidationResult result = Codec.TryDecompress(codec, compressed.WrittenSpan[..length], output, 1 << 20);
            bool emptyXerialFrame = codec == CompressionType.Snappy && length == 16;
            Assert.True(
                result.Error == ErrorCode.CorruptMessage || emptyXerialFrame,
                $"{codec}: prefix of {length}/{compressed.WrittenCount}: {result}");
        }
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public void Survives_flipped_bytes(CompressionType codec)
    {
        byte[] data = Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 3000)));
        using var compressed = new PooledBufferWriter();
        Codec.Compress(codec, data, compressed);
        Generate.Flips.Holds(
            flips =>
            {
                using var output = new PooledBufferWriter();
                Codec.TryDecompress(codec, Generate.Flip(compressed.WrittenSpan, flips), output, 1 << 20);
                Assert.InRange(output.WrittenCount, 0, 1 << 20);
            },
            cases: 400);
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public void Survives_any_bytes_after_a_good_start(CompressionType codec) => Gen.Select(Gen.Int[0, 40], Gen.Byte.Array[0, 300]).Holds(
        generated =>
        {
            (int kept, byte[] rest) = generated;
            using var compressed = new PooledBufferWriter();
            Codec.Compress(codec, new byte[100], compressed);
            byte[] input = [.. compressed.WrittenSpan[..Math.Min(kept, compressed.WrittenCount)], .. rest];
            using var output = new PooledBufferWriter();
            Codec.TryDecompress(codec, input, output, 1 << 16);
            Assert.InRange(output.WrittenCount, 0, 1 << 16);
        });

    [Fact]
    public void Reads_raw_snappy_without_framing()
    {
        // Length 11, a literal of 4, then a copy of 7 from 4 bytes before: derived by hand from the format description.
        byte[] raw = [11, 3 << 2, (byte)'a', (byte)'b', (byte)'c', (byte)'d', 1 | (3 << 2), 4];
        using var output = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(CompressionType.Snappy, raw, output, 100));
        Assert.Equal("abcdabcdabc", Encoding.ASCII.GetString(output.WrittenSpan));
    }

    [Fact]
    public void Refuses_a_zstd_window_that_the_output_cannot_need()
    {
        // Frames without a content size, as streaming encoders write them: magic, descriptor, window of 2^23 or 2^24 bytes, one raw block.
        byte[] usual = [0x28, 0xB5, 0x2F, 0xFD, 0, 13 << 3, (3 << 3) | 1, 0, 0, (byte)'a', (byte)'b', (byte)'c'];
        byte[] large = [.. usual];
        large[5] = 14 << 3;
        Assert.Equal(ErrorCode.None, Read(usual, 1 << 20));
        Assert.Equal(ErrorCode.CorruptMessage, Read(large, 1 << 20));
        Assert.Equal(ErrorCode.None, Read(large, 1 << 24));

        static ErrorCode Read(byte[] frame, int maxOutput)
        {
            using var output = new PooledBufferWriter();
            return Codec.TryDecompress(CompressionType.Zstd, frame, output, maxOutput).Error;
        }
    }

    [Theory]
    [InlineData(CompressionType.Gzip, new[] { -1, 1, 6, 9 })]
    [InlineData(CompressionType.Snappy, new[] { 0 })]
    [InlineData(CompressionType.Lz4, new[] { 1, 3, 9, 12, 17 })]
    [InlineData(CompressionType.Zstd, new[] { -131_072, -5, 1, 3, 9, 19, 22 })]
    public void Every_level_that_Kafka_has_is_read_back(CompressionType codec, int[] levels)
    {
        byte[] data = Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 30_000)));
        var sizes = new HashSet<int>();
        foreach (int level in levels)
        {
            using var compressed = new PooledBufferWriter();
            using var output = new PooledBufferWriter();
            Codec.Compress(codec, data, compressed, level);
            Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(codec, compressed.WrittenSpan, output, data.Length));
            Assert.True(output.WrittenSpan.SequenceEqual(data), $"The data differ at level {level}.");
            sizes.Add(compressed.WrittenCount);
        }

        Assert.True(codec == CompressionType.Snappy || sizes.Count > 1, "Levels make no difference.");
        using var fast = new PooledBufferWriter();
        Codec.Compress(codec, data, fast);
        Assert.Contains(fast.WrittenCount, sizes);
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Lz4)]
    public void Leaves_alone_what_follows_the_data_but_not_a_cut(CompressionType codec)
    {
        byte[] data = Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 3000)));
        using var compressed = new PooledBufferWriter();
        Codec.Compress(codec, data, compressed);
        foreach (byte[] rest in (byte[][])[[.. "z"u8], [.. "zzzz"u8], new byte[20], [.. Enumerable.Repeat((byte)0xFF, 9000)]])
        {
            using var output = new PooledBufferWriter();
            byte[] source = [.. compressed.WrittenSpan, .. rest];
            Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(codec, source, output, data.Length));
            Assert.True(output.WrittenSpan.SequenceEqual(data));
            foreach (int cut in codec == CompressionType.Gzip ? (int[])[1, 4, 8, 9, 100] : []) // Bytes in place of lz4's may be lz4.
            {
                source = [.. compressed.WrittenSpan[..^cut], .. rest];
                if (source.AsSpan().StartsWith(compressed.WrittenSpan))
                    continue; // It ends with zeros, and zeros follow.

                output.Clear();
                ValidationResult result = Codec.TryDecompress(codec, source, output, data.Length);
                Assert.True(!result.IsOk, $"{codec} cut by {cut}, then {rest.Length} bytes");
            }
        }
    }

    [Fact]
    public void Names_an_unknown_codec()
    {
        using var output = new PooledBufferWriter();
        ValidationResult result = Codec.TryDecompress((CompressionType)6, [1, 2, 3], output, 100);
        Assert.Equal(ErrorCode.UnsupportedCompressionType, result.Error);
        Assert.Contains("6", result.Message, StringComparison.Ordinal);
    }
}
