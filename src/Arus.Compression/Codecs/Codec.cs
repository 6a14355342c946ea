using System.Buffers;

namespace Arus.Compression;

/// <summary>The codecs of record batches, all of them managed code. All methods are thread-safe.</summary>
public static class Codec
{
    /// <summary>Compresses <paramref name="source"/> as one stream.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such codec.</exception>
    public static void Compress(CompressionType type, ReadOnlySpan<byte> source, PooledBufferWriter destination)
    {
        switch (type)
        {
            case CompressionType.None:
                destination.Write(source);
                break;
            case CompressionType.Gzip:
                GzipCodec.Compress(source, destination);
                break;
            case CompressionType.Snappy:
                SnappyCodec.Compress(source, destination);
                break;
            case CompressionType.Lz4:
                Lz4Codec.Compress(source, destination);
                break;
            case CompressionType.Zstd:
                ZstdCodec.Compress(source, destination);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "No such codec.");
        }
    }

    /// <summary>Decompresses a whole stream. On failure, part of the output may have been written.</summary>
    /// <param name="maxOutput">The most bytes that may come out.</param>
    /// <returns><see cref="ErrorCode.CorruptMessage"/>; <see cref="ErrorCode.MessageTooLarge"/> beyond <paramref name="maxOutput"/>;
    /// <see cref="ErrorCode.UnsupportedCompressionType"/> for a codec that is not known.</returns>
    public static ValidationResult TryDecompress(
        CompressionType type, ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxOutput);
        return type switch
        {
            CompressionType.None => Copy(source, destination, maxOutput),
            CompressionType.Gzip => GzipCodec.TryDecompress(source, destination, maxOutput),
            CompressionType.Snappy => SnappyCodec.TryDecompress(source, destination, maxOutput),
            CompressionType.Lz4 => Lz4Codec.TryDecompress(source, destination, maxOutput),
            CompressionType.Zstd => ZstdCodec.TryDecompress(source, destination, maxOutput),
            _ => new ValidationResult(ErrorCode.UnsupportedCompressionType, $"Compression type {(int)type} is not known."),
        };
    }

    internal static ValidationResult TooLarge(string codec, int maxOutput) =>
        new(ErrorCode.MessageTooLarge, $"The {codec} data decompresses to more than the allowed {maxOutput} bytes.");

    internal static ValidationResult Corrupt(string codec, string reason) =>
        ValidationResult.Corrupt($"The {codec} data is damaged: {reason}.");

    private static ValidationResult Copy(ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput)
    {
        if (source.Length > maxOutput)
            return TooLarge("uncompressed", maxOutput);

        destination.Write(source);
        return ValidationResult.Ok;
    }
}
