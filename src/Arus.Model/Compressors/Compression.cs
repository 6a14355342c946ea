using System.Buffers;

namespace Arus;

/// <summary>
/// The codecs of record batches. gzip and snappy are managed code; lz4 and zstd bind the system's liblz4 and libzstd, which are
/// loaded at first use. All methods are thread-safe.
/// </summary>
public static class Compression
{
    /// <summary>Null when the codec can be used here; otherwise what is missing and how to install it.</summary>
    public static string? WhyUnavailable(CompressionType codec) => codec switch
    {
        CompressionType.None or CompressionType.Gzip or CompressionType.Snappy => null,
        CompressionType.Lz4 => Lz4Codec.WhyUnavailable,
        CompressionType.Zstd => ZstdCodec.WhyUnavailable,
        _ => $"Compression type {(int)codec} is not known.",
    };

    /// <summary>Compresses <paramref name="source"/> as one stream.</summary>
    /// <exception cref="CompressionLibraryMissingException">The codec's library is not on this machine.</exception>
    /// <exception cref="ArgumentOutOfRangeException">No such codec.</exception>
    public static void Compress(CompressionType codec, ReadOnlySpan<byte> source, IBufferWriter<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((int)codec, (int)CompressionType.Zstd, nameof(codec));
        if (WhyUnavailable(codec) is { } reason)
        {
            throw new CompressionLibraryMissingException(codec, reason);
        }

        switch (codec)
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
        }
    }

    /// <summary>Decompresses a whole stream. On failure, part of the output may have been written.</summary>
    /// <param name="maxOutput">The most bytes that may come out.</param>
    /// <returns><see cref="ErrorCode.CorruptMessage"/>; <see cref="ErrorCode.MessageTooLarge"/> beyond <paramref name="maxOutput"/>;
    /// <see cref="ErrorCode.UnsupportedCompressionType"/> when the codec or its library is not there.</returns>
    public static ValidationResult TryDecompress(
        CompressionType codec, ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxOutput);
        if (WhyUnavailable(codec) is { } reason)
        {
            return new ValidationResult(ErrorCode.UnsupportedCompressionType, reason);
        }

        return codec switch
        {
            CompressionType.Gzip => GzipCodec.TryDecompress(source, destination, maxOutput),
            CompressionType.Snappy => SnappyCodec.TryDecompress(source, destination, maxOutput),
            CompressionType.Lz4 => Lz4Codec.TryDecompress(source, destination, maxOutput),
            CompressionType.Zstd => ZstdCodec.TryDecompress(source, destination, maxOutput),
            _ => Copy(source, destination, maxOutput),
        };
    }

    internal static ValidationResult TooLarge(string codec, int maxOutput) =>
        new(ErrorCode.MessageTooLarge, $"The {codec} data decompresses to more than the allowed {maxOutput} bytes.");

    private static ValidationResult Copy(ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        if (source.Length > maxOutput)
        {
            return TooLarge("uncompressed", maxOutput);
        }

        destination.Write(source);
        return ValidationResult.Ok;
    }
}
