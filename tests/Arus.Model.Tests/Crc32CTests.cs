using System.Text;
using Arus.Testing;
using CsCheck;

namespace Arus.Model.Tests;

public class Crc32CTests
{
    public static TheoryData<byte[], uint> KnownAnswers => new()
    {
        // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
        { new byte[32], 0x8A9136AA },
        { Enumerable.Repeat((byte)0xFF, 32).ToArray(), 0x62A8AB43 },
        { Enumerable.Range(0, 32).Select(i => (byte)i).ToArray(), 0x46DD794E },
        { Enumerable.Range(0, 32).Select(i => (byte)(31 - i)).ToArray(), 0x113FDB5C },
        { Encoding.ASCII.GetBytes("123456789"), 0xE3069283 },
        { [], 0 },
    };

    [Theory, MemberData(nameof(KnownAnswers))]
    public void Gives_the_known_answers(byte[] data, uint expected)
    {
        Assert.Equal(expected, Crc32C.Compute(data));
        Assert.Equal(expected, BitByBit(data));
    }

    [Fact]
    public void Agrees_with_the_definition_at_every_length_around_the_stream_sizes()
    {
        byte[] data = new byte[3 * 4096 + 3 * 256 + 40];
        Seeds.Run(1, seed =>
        {
            new Random(seed).NextBytes(data);
            int[] lengths = [.. Enumerable.Range(0, 900), .. Enumerable.Range(3 * 4096 - 20, 60), data.Length - 1, data.Length];
            foreach (int length in lengths)
                Assert.Equal(BitByBit(data.AsSpan(0, length)), Crc32C.Compute(data.AsSpan(0, length)));
        });
    }

    [Fact]
    public void Continues_from_any_cut() =>
        Gen.Select(Gen.Byte.Array[0, 15_000], Gen.Double.Unit).Holds(
            generated =>
            {
                (byte[] data, double share) = generated;
                int cut = (int)(share * data.Length);
                Assert.Equal(Crc32C.Compute(data), Crc32C.Append(Crc32C.Compute(data.AsSpan(0, cut)), data.AsSpan(cut)));
            },
            cases: 200);

    /// <summary>The definition: division by the polynomial 1EDC6F41, bits reflected.</summary>
    private static uint BitByBit(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78);
        }

        return ~crc;
    }
}
