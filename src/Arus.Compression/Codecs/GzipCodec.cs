using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;

namespace Arus.Compression;

/// <summary>RFC 1952 through the framework's zlib: one member, as Kafka's clients write it.</summary>
internal static class GzipCodec
{
    private const int ChunkSize = 16 * 1024;
    private const int MinSize = 18;
    private const int FastestLevel = 1;

    private static readonly uint[] CrcTable = BuildCrcTable();

    /// <summary>The framework's stream writes nothing at all for no input; this is a member that holds nothing.</summary>
    private static ReadOnlySpan<byte> EmptyMember => [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    public static unsafe void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination, int? level)
    {
        if (source.IsEmpty)
        {
            destination.Write(EmptyMember);
            return;
        }

        // At any level zlib takes at most 9 bits for a byte, and for each block and the member a few bytes.
        int bound = checked(source.Length + (source.Length / 4) + 64);
        fixed (byte* start = destination.GetSpan(bound))
        {
            using var sink = new UnmanagedMemoryStream(start, 0, bound, FileAccess.Write);
            var options = new ZLibCompressionOptions { CompressionLevel = level ?? FastestLevel };
            using (var gzip = new GZipStream(sink, options, leaveOpen: true))
                gzip.Write(source);

            destination.Advance((int)sink.Position);
        }
    }

    public static unsafe ValidationResult TryDecompress<TOutput>(ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        if (source.Length < MinSize)
            return Corrupt("it ends early");

        fixed (byte* start = source)
        {
            using var input = new UnmanagedMemoryStream(start, source.Length);
            using var gzip = new GZipStream(input, CompressionMode.Decompress);
            try
            {
                ValidationResult result = Copy(gzip, ref output, maxOutput, out int total, out bool isWhole);

                // The framework takes a member that is cut short for a whole one, so its length field is compared here.
                return !result.IsOk || !isWhole || BinaryPrimitives.ReadUInt32LittleEndian(source[^sizeof(uint)..]) == (uint)total
                    || HasTrailer(source, total)
                    ? result
                    : Corrupt("it ends early, or holds more than one member");
            }
            catch (InvalidDataException e)
            {
                return Corrupt(e.Message);
            }
        }
    }

    /// <param name="isWhole">Whether it was read to its end.</param>
    private static ValidationResult Copy<TOutput>(
        GZipStream gzip, ref TOutput output, int maxOutput, out int total, out bool isWhole)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        (total, isWhole) = (0, false);
        while (true)
        {
            // One byte of room beyond the limit tells the end of the member from more output.
            Span<byte> free = output.GetSpan(ChunkSize);
            int read = gzip.Read(free[..(int)Math.Min(free.Length, maxOutput - total + 1L)]);
            if (read > maxOutput - total)
                return Codec.TooLarge("gzip", maxOutput);

            isWhole = read == 0;
            total += read;
            if (isWhole || !output.Advance(read))
                return ValidationResult.Ok;
        }
    }

    /// <summary>
    /// Whether the member's trailer is in the source, though not at its end: bytes that follow a member are left alone, as Kafka's
    /// clients do. The trailer is known only when the data are: they are read once more.
    /// </summary>
    private static unsafe bool HasTrailer(ReadOnlySpan<byte> source, int total)
    {
        uint crc = uint.MaxValue;
        Span<byte> chunk = stackalloc byte[4096];
        fixed (byte* start = source)
        {
            using var gzip = new GZipStream(new UnmanagedMemoryStream(start, source.Length), CompressionMode.Decompress);
            for (int read = gzip.Read(chunk); read > 0; read = gzip.Read(chunk))
            {
                foreach (byte next in chunk[..read])
                    crc = (crc >> 8) ^ CrcTable[(byte)(crc ^ next)];
            }
        }

        Span<byte> trailer = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt32LittleEndian(trailer, ~crc);
        BinaryPrimitives.WriteUInt32LittleEndian(trailer[sizeof(uint)..], (uint)total);
        return source.IndexOf(trailer) >= 0;
    }

    /// <summary>Of the CRC-32 of RFC 1952, section 8, whose polynomial is 0xEDB88320.</summary>
    private static uint[] BuildCrcTable()
    {
        uint[] table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            uint value = i;
            for (int bit = 0; bit < 8; bit++)
                value = (value >> 1) ^ ((value & 1) == 0 ? 0 : 0xEDB8_8320);

            table[i] = value;
        }

        return table;
    }

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("gzip", reason);
}
