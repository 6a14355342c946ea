namespace Arus.Compression;

/// <summary>What a leader asks of LZ4 frames. All methods are pure.</summary>
public static class Lz4Frames
{
    /// <summary>
    /// Whether the blocks of a frame refer to the blocks before them (block mode "linked"). Kafka's Java clients cannot read such a frame.
    /// </summary>
    public static bool IsLinked(ReadOnlySpan<byte> source) => Lz4Codec.IsLinked(source);
}
