using System.Buffers;

namespace Arus;

/// <summary>
/// One growing buffer from the shared array pool, in which what was written stays contiguous. Not thread-safe. It may be disposed
/// only when nothing reads <see cref="WrittenMemory"/> any more; an instance that is not disposed is collected like any array.
/// </summary>
public sealed class PooledBufferWriter : IBufferWriter<byte>, IDisposable
{
    private const int DefaultCapacity = 1024;
    private byte[] _buffer;

    public PooledBufferWriter(int initialCapacity = 0) =>
        _buffer = initialCapacity > 0 ? ArrayPool<byte>.Shared.Rent(initialCapacity) : [];

    public int WrittenCount { get; private set; }

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, WrittenCount);

    public ReadOnlySpan<byte> WrittenSpan => _buffer.AsSpan(0, WrittenCount);

    /// <summary>The written bytes, to be patched in place.</summary>
    public Memory<byte> WrittenMemoryForUpdate => _buffer.AsMemory(0, WrittenCount);

    public int Capacity => _buffer.Length;

    /// <summary>Discards the written bytes and keeps the buffer.</summary>
    public void Clear() => WrittenCount = 0;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _buffer.Length - WrittenCount);
        WrittenCount += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0) => WithFree(sizeHint).AsMemory(WrittenCount);

    public Span<byte> GetSpan(int sizeHint = 0) => WithFree(sizeHint).AsSpan(WrittenCount);

    /// <summary>Returns the buffer to the pool; the writer is empty and usable afterwards.</summary>
    public void Dispose()
    {
        Replace([]);
        Clear();
    }

    /// <summary>The buffer, replaced by a larger one if it has less room than asked for.</summary>
    private byte[] WithFree(int sizeHint)
    {
        int needed = Math.Max(sizeHint, 1);
        if (_buffer.Length - WrittenCount >= needed)
            return _buffer;

        long required = (long)WrittenCount + needed;
        long wanted = Math.Max(Math.Max(required, 2L * _buffer.Length), DefaultCapacity);
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(wanted, Math.Max(Array.MaxLength, required)));
        WrittenSpan.CopyTo(larger);
        Replace(larger);
        return larger;
    }

    private void Replace(byte[] next)
    {
        byte[] old = _buffer;
        _buffer = next;
        if (old.Length > 0)
            ArrayPool<byte>.Shared.Return(old);
    }
}
