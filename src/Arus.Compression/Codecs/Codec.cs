using System.Buffers;

namespace Arus.Compression;

/// <summary>The codecs of record batches, all of them managed code. All methods are thread-safe.</summary>
public static class Codec
{
    /// <summary>Compresses <paramref name="source"/> as one stream.</summary>
    /// <param name="level">
    /// As in Kafka's <c>compression.gzip.level</c> and its like; null for what suits a producer. Snappy has none.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">No such codec.</exception>
    public static void Compress(CompressionType type, ReadOnlySpan<byte> source, PooledBufferWriter destination, int? level = null)
    {
        switch (type)
        {
            case CompressionType.None:
                destination.Write(source);
                break;
            case CompressionType.Gzip:
                GzipCodec.Compress(source, destination, level);
                break;
            case CompressionType.Snappy:
                SnappyCodec.Compress(source, destination);
                break;
            case CompressionType.Lz4:
                Lz4Codec.Compress(source, destination, level);
                break;
            case CompressionType.Zstd:
                ZstdCodec.Compress(source, destination, level);
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
        var output = new WholeOutput(destination);
        return TryDecompress(type, source, ref output, maxOutput);
    }

    /// <summary>Decompresses a stream piece by piece, as long as the output wants more.</summary>
    internal static ValidationResult TryDecompress<TOutput>(
        CompressionType type, ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxOutput);
        return type switch
        {
            CompressionType.None => Copy(source, ref output, maxOutput),
            CompressionType.Gzip => GzipCodec.TryDecompress(source, ref output, maxOutput),
            CompressionType.Snappy => SnappyCodec.TryDecompress(source, ref output, maxOutput),
            CompressionType.Lz4 => Lz4Codec.TryDecompress(source, ref output, maxOutput),
            CompressionType.Zstd => ZstdCodec.TryDecompress(source, ref output, maxOutput),
            _ => new ValidationResult(ErrorCode.UnsupportedCompressionType, $"Compression type {(int)type} is not known."),
        };
    }

    internal static ValidationResult TooLarge(string codec, int maxOutput) =>
        new(ErrorCode.MessageTooLarge, $"The {codec} data decompresses to more than the allowed {maxOutput} bytes.");

    internal static ValidationResult Corrupt(string codec, string reason) =>
        ValidationResult.Corrupt($"The {codec} data is damaged: {reason}.");

    private static ValidationResult Copy<TOutput>(ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        if (source.Length > maxOutput)
            return TooLarge("uncompressed", maxOutput);

        source.CopyTo(output.GetSpan(Math.Max(1, source.Length)));
        output.Advance(source.Length);
        return ValidationResult.Ok;
    }
}
