namespace Arus.Compression;

/// <summary>Where a codec writes what it decompresses: it asks for room, writes into it, and says how much it wrote.</summary>
internal interface IDecompressionOutput
{
    /// <summary>The bytes before the room that was given last: at least as many as were to be kept, if so many were written.</summary>
    ReadOnlySpan<byte> Window { get; }

    /// <summary>Room for at least so many bytes.</summary>
    /// <param name="size">At least 1.</param>
    /// <param name="window">How many of the bytes written before must stay readable in <see cref="Window"/>.</param>
    Span<byte> GetSpan(int size, int window = 0);

    /// <summary>So many bytes were written.</summary>
    /// <returns>False when no more are wanted: then the codec ends, and its result is OK.</returns>
    bool Advance(int count);
}

/// <summary>Keeps everything, one byte behind the other.</summary>
internal readonly struct WholeOutput(PooledBufferWriter destination) : IDecompressionOutput
{
    public ReadOnlySpan<byte> Window => destination.WrittenSpan;

    public Span<byte> GetSpan(int size, int window = 0) => destination.GetSpan(size);

    public bool Advance(int count)
    {
        destination.Advance(count);
        return true;
    }
}
