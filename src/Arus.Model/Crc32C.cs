using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ArmCrc = System.Runtime.Intrinsics.Arm.Crc32;
using X86Crc = System.Runtime.Intrinsics.X86.Sse42;

namespace Arus;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the processor's instructions where it has them.</summary>
/// <remarks>
/// The instruction has a latency of three cycles and a throughput of one, so three streams are computed side by side and joined:
/// a CRC is linear, and running it over n zero bytes is a multiplication by a constant matrix, kept as four tables of 256 entries.
/// </remarks>
public static class Crc32C
{
    private const uint Polynomial = 0x82F63B78;
    private const int LongStream = 4096;
    private const int ShortStream = 256;

    private static readonly uint[] Table = BuildTable();
    private static readonly uint[] LongShift = BuildShift(LongStream);
    private static readonly uint[] ShortShift = BuildShift(ShortStream);

    /// <summary>Whether the processor computes it.</summary>
    public static bool IsHardwareAccelerated => X86Crc.X64.IsSupported || ArmCrc.Arm64.IsSupported;

    public static uint Compute(ReadOnlySpan<byte> data) => Append(0, data);

    /// <summary>Goes on from the CRC of what came before: <c>Append(Compute(a), b)</c> is the CRC of a followed by b.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> data) =>
        ~(IsHardwareAccelerated ? AppendHardware(~crc, data) : AppendTable(~crc, data));

    /// <summary>The way of processors without the instruction; public to tests through the assembly only.</summary>
    internal static uint ComputeWithTable(uint crc, ReadOnlySpan<byte> data) => ~AppendTable(~crc, data);

    private static uint AppendHardware(uint crc, ReadOnlySpan<byte> data)
    {
        crc = AppendStreams(crc, ref data, LongStream, LongShift);
        crc = AppendStreams(crc, ref data, ShortStream, ShortShift);
        while (data.Length >= sizeof(ulong))
        {
            crc = Step(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[sizeof(ulong)..];
        }

        foreach (byte b in data)
        {
            crc = X86Crc.IsSupported ? X86Crc.Crc32(crc, b) : ArmCrc.ComputeCrc32C(crc, b);
        }

        return crc;
    }

    private static uint AppendStreams(uint crc, ref ReadOnlySpan<byte> data, int stream, uint[] shift)
    {
        while (data.Length >= 3 * stream)
        {
            ref byte first = ref MemoryMarshal.GetReference(data);
            ref byte second = ref Unsafe.Add(ref first, stream);
            ref byte third = ref Unsafe.Add(ref second, stream);
            uint crc1 = 0;
            uint crc2 = 0;
            for (int i = 0; i < stream; i += sizeof(ulong))
            {
                crc = Step(crc, Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref first, i)));
                crc1 = Step(crc1, Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref second, i)));
                crc2 = Step(crc2, Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref third, i)));
            }

            crc = Shift(shift, Shift(shift, crc) ^ crc1) ^ crc2;
            data = data[(3 * stream)..];
        }

        return crc;
    }

    // Both instruction sets are little-endian wherever .NET runs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Step(uint crc, ulong value) =>
        X86Crc.X64.IsSupported ? (uint)X86Crc.X64.Crc32(crc, value) : ArmCrc.Arm64.ComputeCrc32C(crc, value);

    private static uint AppendTable(uint crc, ReadOnlySpan<byte> data)
    {
        uint[] table = Table;
        foreach (byte b in data)
        {
            crc = (crc >> 8) ^ table[(byte)(crc ^ b)];
        }

        return crc;
    }

    private static uint Shift(uint[] shift, uint crc) =>
        shift[crc & 0xFF] ^ shift[256 + ((crc >> 8) & 0xFF)] ^ shift[512 + ((crc >> 16) & 0xFF)] ^ shift[768 + (crc >> 24)];

    private static uint[] BuildTable()
    {
        uint[] table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            uint crc = i;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? (crc >> 1) ^ Polynomial : crc >> 1;
            }

            table[i] = crc;
        }

        return table;
    }

    private static uint[] BuildShift(int zeroBytes)
    {
        // What each single bit becomes; every other value is the exclusive or of its bits' results.
        Span<uint> bits = stackalloc uint[32];
        byte[] zeros = new byte[zeroBytes];
        for (int bit = 0; bit < 32; bit++)
        {
            bits[bit] = AppendTable(1u << bit, zeros);
        }

        uint[] shift = new uint[4 * 256];
        for (int i = 0; i < shift.Length; i++)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                if ((i & (1 << bit)) != 0)
                {
                    shift[i] ^= bits[((i >> 8) * 8) + bit];
                }
            }
        }

        return shift;
    }
}
