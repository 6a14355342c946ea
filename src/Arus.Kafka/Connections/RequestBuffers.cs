using System.Numerics;

namespace Arus.Kafka;

/// <summary>
/// The buffers of large requests whose handlers keep no part of them. <see cref="System.Buffers.ArrayPool{T}.Shared"/> would keep what a
/// burst took for each processor, up to gigabytes, until the next full garbage collection. Thread-safe.
/// </summary>
internal sealed class RequestBuffers
{
    /// <summary>Larger buffers are not kept: they are rare, and copying into them takes longer than making them.</summary>
    internal const int MaxKeptSize = 8 * 1024 * 1024;

    /// <summary>Bytes that are kept of each size.</summary>
    private const int MaxKeptBytes = 64 * 1024 * 1024;

    private const int MinSizeBits = 15;

    private readonly TrimmedStack<byte[]>[] _bySize =
        [.. Enumerable.Range(MinSizeBits, SizeIndex(MaxKeptSize) + 1).Select(bits => new TrimmedStack<byte[]>(MaxKeptBytes >> bits))];

    /// <summary>A buffer of at least so many bytes.</summary>
    public byte[] Rent(int bytes)
    {
        if (bytes > MaxKeptSize)
            return GC.AllocateUninitializedArray<byte>(bytes);

        int index = SizeIndex(bytes);
        return _bySize[index].TryPop(out byte[]? kept) ? kept : GC.AllocateUninitializedArray<byte>(1 << (MinSizeBits + index));
    }

    /// <summary>Takes a buffer back that nobody uses any more.</summary>
    public void Return(byte[] buffer)
    {
        if (buffer.Length <= MaxKeptSize)
            _bySize[SizeIndex(buffer.Length)].Push(buffer);
    }

    /// <summary>Lets go what was not needed since the last call.</summary>
    public void Trim() => Array.ForEach(_bySize, static buffers => buffers.Trim());

    private static int SizeIndex(int bytes) => Math.Max(0, BitOperations.Log2((uint)bytes - 1) + 1 - MinSizeBits);
}
