using Arus.Testing;
using CsCheck;

namespace Arus.Model.Tests;

public sealed class VarintTests
{
    [Theory]
    [InlineData(0, "00")]
    [InlineData(-1, "01")]
    [InlineData(1, "02")]
    [InlineData(63, "7E")]
    [InlineData(64, "8001")]
    [InlineData(-65, "8101")]
    [InlineData(int.MaxValue, "FEFFFFFF0F")]
    [InlineData(long.MinValue, "FFFFFFFFFFFFFFFFFF01")]
    public void Varints_are_zigzag(long value, string hex)
    {
        byte[] bytes = new byte[Varint.MaxLength64];
        Assert.Equal(hex, Convert.ToHexString(bytes.AsSpan(0, Varint.Write(bytes, value))));
        Reads_what_it_wrote(value);
    }

    [Fact]
    public void Any_number_is_read_as_it_was_written() => Gen.Long.Holds(Reads_what_it_wrote);

    [Fact]
    public void Overlong_varints_are_refused()
    {
        int position = 0;
        Assert.False(Varint.TryRead(Convert.FromHexString("FFFFFFFFFFFFFFFFFF02"), ref position, out long _));
        Assert.False(Varint.TryRead(Convert.FromHexString("FFFFFFFFFFFFFFFFFFFFFF01"), ref position, out long _));
        Assert.False(Varint.TryRead(Convert.FromHexString("8080808010"), ref position, out int _));
        Assert.Equal(0, position);
    }

    [Fact]
    public void Any_bytes_are_read_within_their_bounds() => Gen.Byte.Array[0, 12].Holds(bytes =>
    {
        int position = 0;
        bool isRead = Varint.TryRead(bytes, ref position, out long value);
        Assert.InRange(position, isRead ? 1 : 0, isRead ? Math.Min(bytes.Length, Varint.MaxLength64) : 0);
        int position32 = 0;
        bool fits = isRead && value is >= int.MinValue and <= int.MaxValue;
        Assert.Equal(fits, Varint.TryRead(bytes, ref position32, out int value32));
        Assert.Equal(fits ? (position, value) : (0, 0L), (position32, value32));
    });

    private static void Reads_what_it_wrote(long value)
    {
        byte[] bytes = new byte[Varint.MaxLength64];
        int size = Varint.Write(bytes, value);
        Assert.Equal(size, Varint.SizeOf(value));
        int position = 0;
        Assert.True(Varint.TryRead(bytes, ref position, out long read));
        Assert.Equal((value, size), (read, position));
        for (int length = 0; length < size; length++)
        {
            position = 0;
            Assert.False(Varint.TryRead(bytes.AsSpan(0, length), ref position, out long _));
            Assert.Equal(0, position);
        }
    }
}
