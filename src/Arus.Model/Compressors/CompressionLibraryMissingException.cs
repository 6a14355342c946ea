namespace Arus;

/// <summary>A codec needs a native library that this machine lacks; the message names it and how to install it.</summary>
public sealed class CompressionLibraryMissingException(CompressionType codec, string message) : NotSupportedException(message)
{
    public CompressionType Codec { get; } = codec;
}
