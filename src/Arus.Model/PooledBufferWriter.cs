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
    private int _written;

    public PooledBufferWriter(int initialCapacity = 0) =>
        _buffer = initialCapacity > 0 ? ArrayPool<byte>.Shared.Rent(initialCapacity) : [];

    public int WrittenCount => _written;

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _written);

    public ReadOnlySpan<byte> WrittenSpan => _buffer.AsSpan(0, _written);

    /// <summary>The written bytes, to be patched in place.</summary>
    public Memory<byte> WrittenMemoryForUpdate => _buffer.AsMemory(0, _written);

    public int Capacity => _buffer.Length;

    /// <summary>Discards the written bytes and keeps the buffer.</summary>
    public void Clear() => _written = 0;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _buffer.Length - _written);
        _written += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureFree(sizeHint);
        return _buffer.AsMemory(_written);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureFree(sizeHint);
        return _buffer.AsSpan(_written);
    }

    /// <summary>Returns the buffer to the pool; the writer is empty and usable afterwards.</summary>
    public void Dispose()
    {
        Replace([]);
        _written = 0;
    }

    private void EnsureFree(int sizeHint)
    {
        int needed = Math.Max(sizeHint, 1);
        if (_buffer.Length - _written < needed)
        {
            long required = (long)_written + needed;
            long wanted = Math.Max(Math.Max(required, 2L * _buffer.Length), DefaultCapacity);
            byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(wanted, Math.Max(Array.MaxLength, required)));
            _buffer.AsSpan(0, _written).CopyTo(larger);
            Replace(larger);
        }
    }

    private void Replace(byte[] next)
    {
        byte[] old = _buffer;
        _buffer = next;
        if (old.Length > 0)
            ArrayPool<byte>.Shared.Return(old);
    }
}
