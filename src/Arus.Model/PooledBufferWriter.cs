using System.Buffers;

namespace Arus;

/// <summary>
/// One growing buffer from the shared array pool, in which what was written stays contiguous. Not thread-safe. Whoever disposes it
/// must know that nobody reads <see cref="WrittenMemory"/> any more; one that is merely dropped is collected like any array.
/// </summary>
public sealed class PooledBufferWriter : IBufferWriter<byte>, IDisposable
{
    private const int DefaultCapacity = 1024;
    private byte[] buffer;
    private int written;

    public PooledBufferWriter(int initialCapacity = 0) => buffer = initialCapacity > 0 ? ArrayPool<byte>.Shared.Rent(initialCapacity) : [];

    public int WrittenCount => written;

    public ReadOnlyMemory<byte> WrittenMemory => buffer.AsMemory(0, written);

    public ReadOnlySpan<byte> WrittenSpan => buffer.AsSpan(0, written);

    /// <summary>What was written, to be patched in place.</summary>
    public Memory<byte> WrittenMemoryForUpdate => buffer.AsMemory(0, written);

    public int Capacity => buffer.Length;

    /// <summary>Forgets what was written and keeps the buffer.</summary>
    public void Clear() => written = 0;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, buffer.Length - written);
        written += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureFree(sizeHint);
        return buffer.AsMemory(written);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureFree(sizeHint);
        return buffer.AsSpan(written);
    }

    /// <summary>Gives the buffer back to the pool; the writer is empty and usable afterwards.</summary>
    public void Dispose()
    {
        byte[] old = buffer;
        buffer = [];
        written = 0;
        if (old.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(old);
        }
    }

    private void EnsureFree(int sizeHint)
    {
        int needed = Math.Max(sizeHint, 1);
        if (buffer.Length - written >= needed)
        {
            return;
        }

        long wanted = Math.Max(Math.Max((long)written + needed, 2L * buffer.Length), DefaultCapacity);
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(wanted, Math.Max(Array.MaxLength, (long)written + needed)));
        buffer.AsSpan(0, written).CopyTo(larger);
        byte[] old = buffer;
        buffer = larger;
        if (old.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(old);
        }
    }
}
