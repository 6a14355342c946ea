using System.Text;

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
        Assert.Equal(expected, Crc32C.ComputeWithTable(0, data));
    }

    [Fact]
    public void Agrees_with_the_table_at_every_length_around_the_stream_sizes()
    {
        byte[] data = new byte[3 * 4096 + 3 * 256 + 40];
        new Random(7).NextBytes(data);
        int[] lengths = [.. Enumerable.Range(0, 900), .. Enumerable.Range(3 * 4096 - 20, 60), data.Length - 1, data.Length];
        foreach (int length in lengths)
        {
            Assert.Equal(Crc32C.ComputeWithTable(0, data.AsSpan(0, length)), Crc32C.Compute(data.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Goes_on_from_any_cut()
    {
        byte[] data = new byte[2000];
        new Random(8).NextBytes(data);
        uint whole = Crc32C.Compute(data);
        for (int cut = 0; cut <= data.Length; cut += 37)
        {
            Assert.Equal(whole, Crc32C.Append(Crc32C.Compute(data.AsSpan(0, cut)), data.AsSpan(cut)));
        }
    }
}
