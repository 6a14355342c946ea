using System.Text;

namespace Arus.Compression.Tests;

/// <summary>
/// Output of the reference tools, in base64, for the text that <see cref="Text"/> makes: gzip 1.12, lz4 1.9.4, zstd 1.5.4 and
/// libsnappy 1.1.9, all of Debian 12. What those tools make must be readable here for good.
/// </summary>
public class CodecGoldenTests
{
    /// <summary><c>gzip -9 -n</c>.</summary>
    private const string Gzip =
        "H4sIAAAAAAACA63SOQ6DQAwF0J5T+AAUnjUgTkMSEKNITDQYcX1il6l/a0tPXj4zM8m20HduUqTUncphhXMvQnWl2t5L6630nOW1/fev2j4Tcf"
        + "eDHEJyKnmEFFUKCGlUKUK2y0olBOWTUhlBBZvqATm63WpAUNkeOCKoQVPlIEkPKkGS7uMNb/pP4H4DAAA=";

    /// <summary><c>lz4 -9 -B4 -BI --no-frame-crc</c>: as Kafka's clients write it.</summary>
    private const string Lz4 =
        "BCJNGGBAgqEAAADxBjAwMDAgdGhlIHBhcnRpdGlvbiBpcxEA4XVuaXQgb2Ygb3JkZXIsEwBcYmF0Y2ggAM93b3JrOyAwCjAwMDFKADEQMUoAHz"
        + "JKADEQNEoAHzNKADEQOUoAHzTeADIQNksAHzVLADEgMjVLAB82SwAxETOWAB83dQEyASwBHzhLADERNsEBHzlLADEQOFYCHzHqAjIQM0oAD+oC"
        + "L1BrOyAyNAAAAAA=";

    /// <summary><c>lz4 -BD -B7 --content-size</c>: linked blocks of 4 MiB, the content's size and its checksum.</summary>
    private const string Lz4Linked =
        "BCJNGGxAfgMAAAAAAAAbpwAAAPEGMDAwMCB0aGUgcGFydGl0aW9uIGlzEQDhdW5pdCBvZiBvcmRlciwTAFxiYXRjaCAAwXdvcms7IDAKMDAwMS"
        + "YAD0oALBAxSgAfMkoAMRA0SgAfM0oAMRA5SgAfNEoAMSAxNksAHzVLADEgMjVLAB82SwAxETOWAB83SwAxETQsAR84SwAxETbBAR85SwAxEDhW"
        + "Ah8x6gIyXzMKMDAx6gIvUGs7IDI0AAAAAGQM204=";

    /// <summary><c>zstd -19</c>: with the content's size and checksum.</summary>
    private const string Zstd =
        "KLUv/WR+AqUDAOLEEBGAfQD0mO5mgo7d7t7gwhI9AYaMIsZQyyC1TEIFHXLQMKsYMoYQAohnNd8+324u5AjzfXl/U8s1fXvppjs3/HHuFwEZqB"
        + "CgW2oNY5CVqANAGMWPxP9/DwF63AwlgNCiDQKnCAJD2EST5B48MQOZ1PEQmhbP6w==";

    /// <summary>libsnappy, one raw block.</summary>
    private const string Snappy =
        "/gZQMDAwMCB0aGUgcGFydGl0aW9uIGlzBRE0dW5pdCBvZiBvcmRlciwFExBiYXRjaD4gACx3b3JrOyAwCjAwMDEFJvpKAAAxAUoAMv5KAAFKAD"
        + "QBSgAz/koAAUoAOQFKADT+SgABSgQxNgFLADX+SwABSwQyNQFLADb+SwABSwAzBZYAN/5LAAFLADQlLAA4/ksAAUsANiXBADn+SwABSwA4QVYA"
        + "Mf7qAkXqEDMKMDAx/uoCReoEMjQ=";

    private static readonly string Text = string.Join(
        '\n',
        Enumerable.Range(0, 12).Select(i => $"{i:0000} the partition is the unit of order, the batch is the unit of work; {i * i % 97}"));

    [Theory]
    [InlineData(CompressionType.Gzip, Gzip)]
    [InlineData(CompressionType.Lz4, Lz4)]
    [InlineData(CompressionType.Lz4, Lz4Linked)]
    [InlineData(CompressionType.Zstd, Zstd)]
    [InlineData(CompressionType.Snappy, Snappy)]
    public void Reads_what_the_reference_tool_wrote(CompressionType codec, string base64)
    {
        using var output = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(codec, Convert.FromBase64String(base64), output, Text.Length));
        Assert.Equal(Text, Encoding.UTF8.GetString(output.WrittenSpan));
    }

    [Fact]
    public void Reads_xerial_framing_around_the_reference_block()
    {
        byte[] block = Convert.FromBase64String(Snappy);
        byte[] framed =
        [
            0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
            0, 0, 0, (byte)block.Length, .. block, 0, 0, 0, (byte)block.Length, .. block,
        ];
        using var output = new PooledBufferWriter();
        Assert.Equal(ValidationResult.Ok, Codec.TryDecompress(CompressionType.Snappy, framed, output, 2 * Text.Length));
        Assert.Equal(Text + Text, Encoding.UTF8.GetString(output.WrittenSpan));
    }

    [Fact]
    public void Writes_lz4_frames_that_Java_clients_accept()
    {
        using var compressed = new PooledBufferWriter();
        Codec.Compress(CompressionType.Lz4, Encoding.UTF8.GetBytes(Text), compressed);

        // Magic, version 01 with independent blocks and no content size or checksums, blocks of 64 KiB, then the descriptor's checksum:
        // the second byte of its xxHash32, 0x82 for 60 40 (KIP-57).
        Assert.Equal("04224D186040" + "82", Convert.ToHexString(compressed.WrittenSpan[..7]));
    }

    [Fact]
    public void Writes_xerial_framing_that_Java_clients_accept()
    {
        using var compressed = new PooledBufferWriter();
        Codec.Compress(CompressionType.Snappy, Encoding.UTF8.GetBytes(Text), compressed);
        Assert.Equal("82534E4150505900" + "00000001" + "00000001", Convert.ToHexString(compressed.WrittenSpan[..16]));
    }
}
