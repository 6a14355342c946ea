using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;

namespace Arus.Compression;

/// <summary>RFC 1952 through the framework's zlib: one member, as Kafka's clients write it.</summary>
internal static class GzipCodec
{
    private const int ChunkSize = 16 * 1024;
    private const int MinSize = 18;

    /// <summary>The framework's stream writes nothing at all for no input; this is a member that holds nothing.</summary>
    private static ReadOnlySpan<byte> EmptyMember => [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    public static void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination)
    {
        if (source.IsEmpty)
        {
            destination.Write(EmptyMember);
            return;
        }

        using var sink = new BufferWriterStream(destination);
        using var gzip = new GZipStream(sink, CompressionLevel.Fastest, leaveOpen: true);
        gzip.Write(source);
    }

    public static unsafe ValidationResult TryDecompress(ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput)
    {
        if (source.Length < MinSize)
            return Corrupt("it ends early");

        fixed (byte* start = source)
        {
            using var input = new UnmanagedMemoryStream(start, source.Length);
            using var gzip = new GZipStream(input, CompressionMode.Decompress);
            try
            {
                ValidationResult result = Copy(gzip, destination, maxOutput, out int total);

                // The framework takes a member that is cut short for a whole one, so its length field is compared here.
                return result.IsOk && BinaryPrimitives.ReadUInt32LittleEndian(source[^sizeof(uint)..]) != (uint)total
                    ? Corrupt("it ends early, or holds more than one member")
                    : result;
            }
            catch (InvalidDataException e)
            {
                return Corrupt(e.Message);
            }
        }
    }

    private static ValidationResult Copy(GZipStream gzip, PooledBufferWriter destination, int maxOutput, out int total)
    {
        total = 0;
        Span<byte> probe = stackalloc byte[1];
        while (true)
        {
            Span<byte> free = destination.GetSpan(ChunkSize);
            int room = maxOutput - total;
            int read = gzip.Read(room == 0 ? probe : free[..Math.Min(free.Length, room)]);
            if (read == 0)
                return ValidationResult.Ok;

            if (room == 0)
                return Codec.TooLarge("gzip", maxOutput);

            total += read;
            destination.Advance(read);
        }
    }

    private static ValidationResult Corrupt(string reason) => Codec.Corrupt("gzip", reason);

    private sealed class BufferWriterStream(PooledBufferWriter destination) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer) => destination.Write(buffer);

        public override void Write(byte[] buffer, int offset, int count) => destination.Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
