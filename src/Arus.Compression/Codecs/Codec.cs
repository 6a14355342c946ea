using System.Buffers;

namespace Arus.Compression;

/// <summary>The codecs of record batches, all of them managed code. All methods are thread-safe.</summary>
public static class Codec
{
    private delegate void Compressing(ReadOnlySpan<byte> source, PooledBufferWriter destination);

    private delegate ValidationResult Decompressing(ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput);

    /// <summary>By the number of the compression type.</summary>
    private static readonly (Compressing Compress, Decompressing TryDecompress)[] All =
    [
        (static (source, destination) => destination.Write(source), Copy),
        (GzipCodec.Compress, GzipCodec.TryDecompress),
        (SnappyCodec.Compress, SnappyCodec.TryDecompress),
        (Lz4Codec.Compress, Lz4Codec.TryDecompress),
        (ZstdCodec.Compress, ZstdCodec.TryDecompress),
    ];

    /// <summary>Compresses <paramref name="source"/> as one stream.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such codec.</exception>
    public static void Compress(CompressionType type, ReadOnlySpan<byte> source, PooledBufferWriter destination)
    {
        if (type > CompressionType.Zstd)
            throw new ArgumentOutOfRangeException(nameof(type), type, "No such codec.");

        All[(int)type].Compress(source, destination);
    }

    /// <summary>Decompresses a whole stream. On failure, part of the output may have been written.</summary>
    /// <param name="maxOutput">The most bytes that may come out.</param>
    /// <returns><see cref="ErrorCode.CorruptMessage"/>; <see cref="ErrorCode.MessageTooLarge"/> beyond <paramref name="maxOutput"/>;
    /// <see cref="ErrorCode.UnsupportedCompressionType"/> for a codec that is not known.</returns>
    public static ValidationResult TryDecompress(
        CompressionType type, ReadOnlySpan<byte> source, PooledBufferWriter destination, int maxOutput)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxOutput);
        return type <= CompressionType.Zstd
            ? All[(int)type].TryDecompress(source, destination, maxOutput)
            : new ValidationResult(ErrorCode.UnsupportedCompressionType, $"Compression type {(int)type} is not known.");
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
