namespace Arus.Storage;

/// <summary>How a topic's batches are stored (<c>compression.type</c> and the levels).</summary>
internal readonly record struct CompressionTarget(CompressionType Compression, int? Level)
{
    /// <param name="sent">How the producer compressed the batch, which is kept unless the topic says otherwise.</param>
    public static CompressionTarget Of(TopicConfig config, CompressionType sent) => config.CompressionType switch
    {
        "uncompressed" => new CompressionTarget(CompressionType.None, null),
        "gzip" => new CompressionTarget(CompressionType.Gzip, config.CompressionGzipLevel),
        "snappy" => new CompressionTarget(CompressionType.Snappy, null),
        "lz4" => new CompressionTarget(CompressionType.Lz4, config.CompressionLz4Level),
        "zstd" => new CompressionTarget(CompressionType.Zstd, config.CompressionZstdLevel),
        _ => new CompressionTarget(sent, null),
    };
}
