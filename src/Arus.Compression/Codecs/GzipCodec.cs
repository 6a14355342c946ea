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
                return Copy(gzip, source[^sizeof(uint)..], ref output, maxOutput);
            }
            catch (InvalidDataException e)
            {
                return Corrupt(e.Message);
            }
        }
    }

    private static ValidationResult Copy<TOutput>(
        GZipStream gzip, ReadOnlySpan<byte> lengthField, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        int total = 0;
        int read;
        do
        {
            // One byte of room beyond the limit tells the end of the member from more output.
            Span<byte> free = output.GetSpan(ChunkSize);
            read = gzip.Read(free[..(int)Math.Min(free.Length, maxOutput - total + 1L)]);
            if (read > maxOutput - total)
                return Codec.TooLarge("gzip", maxOutput);

            total += read;
            if (read > 0 && !output.Advance(read))
                return ValidationResult.Ok;
        }
        while (read > 0);

        // The framework takes a member that is cut short for a whole one, so its length field is compared here.
        return BinaryPrimitives.ReadUInt32LittleEndian(lengthField) == (uint)total
            ? ValidationResult.Ok
            : Corrupt("it ends early, or holds more than one member");
    }

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("gzip", reason);
}
