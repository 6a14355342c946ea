using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace Orleans.Serialization;

/// <summary>
/// Collects what is to be sent in one contiguous pooled buffer. Contiguous, so that a frame's length can be put in after its
/// contents, and reused, so that growing is paid for once. Not thread-safe.
/// </summary>
internal sealed class WireWriter : IBufferWriter<byte>, IDisposable
{
    private const int InitialCapacity = 4096;

    private readonly int _maxLength;
    private byte[] _buffer;
    private int _length;
    private int _depth;

    /// <param name="maxLength">Bytes; writing more throws <see cref="SerializerException"/>.</param>
    public WireWriter(int maxLength = WireFormat.MaxLength)
    {
        _maxLength = maxLength;
        _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
    }

    /// <summary>Bytes written since the last <see cref="Clear"/>.</summary>
    public int Length => _length;

    /// <summary>What was written. Valid until the next write, <see cref="Clear"/> or <see cref="Dispose"/>.</summary>
    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _length);

    public ReadOnlySpan<byte> WrittenSpan => _buffer.AsSpan(0, _length);

    /// <summary>Forgets everything written; the buffer is kept.</summary>
    public void Clear()
    {
        _length = 0;
        _depth = 0;
    }

    /// <summary>Forgets what was written after <paramref name="length"/>, as when a message turned out not to be serializable.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, _length);
        _length = length;
        _depth = 0;
    }

    /// <summary>Gives a buffer that one large message made grow back to the pool.</summary>
    public void Trim(int capacity)
    {
        if (_length == 0 && _buffer.Length > capacity)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(capacity);
        }
    }

    /// <summary>Leaves room for <paramref name="bytes"/> bytes and answers where, for <see cref="PatchInt32"/>.</summary>
    public int Reserve(int bytes)
    {
        int position = _length;
        Take(bytes).Clear();
        return position;
    }

    /// <summary>Puts a little-endian integer where <see cref="Reserve"/> left room.</summary>
    public void PatchInt32(int position, int value) => BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(position, 4), value);

    public void WriteByte(byte value)
    {
        if (_length == _buffer.Length)
        {
            Grow(1);
        }

        _buffer[_length++] = value;
    }

    public void WriteBool(bool value) => WriteByte(value ? (byte)1 : (byte)0);

    public void WriteVarUInt32(uint value) => WriteVarUInt64(value);

    /// <summary>Seven bits a byte, the lowest first; at most ten bytes.</summary>
    public void WriteVarUInt64(ulong value)
    {
        if (_buffer.Length - _length < 10)
        {
            Grow(10);
        }

        byte[] buffer = _buffer;
        int position = _length;
        while (value >= 0x80)
        {
            buffer[position++] = (byte)(value | 0x80);
            value >>= 7;
        }

        buffer[position++] = (byte)value;
        _length = position;
    }

    public void WriteVarInt32(int value) => WriteVarUInt64((uint)((value << 1) ^ (value >> 31)));

    /// <summary>Zigzag, so that small negative numbers stay short.</summary>
    public void WriteVarInt64(long value) => WriteVarUInt64((ulong)((value << 1) ^ (value >> 63)));

    public void WriteInt32(int value) => BinaryPrimitives.WriteInt32LittleEndian(Take(4), value);

    public void WriteInt64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(8), value);

    /// <summary>Any unmanaged value by its bytes, as this machine has them; all machines of a cluster are little-endian.</summary>
    public void WriteRaw<T>(T value) where T : unmanaged => Unsafe.WriteUnaligned(ref Take(Unsafe.SizeOf<T>())[0], value);

    /// <summary>The length plus one, then UTF-8; null is a length of zero.</summary>
    public void WriteString(string? value)
    {
        if (value is null)
        {
            WriteByte(0);
            return;
        }

        int most = Encoding.UTF8.GetMaxByteCount(value.Length);
        if (most < 127)
        {
            // The length fits one byte whatever the text is, so it need not be known before the text is written.
            if (_buffer.Length - _length < most + 1)
            {
                Grow(most + 1);
            }

            int written = Encoding.UTF8.GetBytes(value, _buffer.AsSpan(_length + 1));
            _buffer[_length] = (byte)(written + 1);
            _length += written + 1;
            return;
        }

        int bytes = Encoding.UTF8.GetByteCount(value);
        WriteVarUInt64((ulong)bytes + 1);
        Encoding.UTF8.GetBytes(value, Take(bytes));
    }

    /// <summary>The bytes alone; who reads them must know how many there are.</summary>
    public void WriteBytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    /// <summary>The length, then the bytes.</summary>
    public void WriteBlock(ReadOnlySpan<byte> bytes)
    {
        WriteVarUInt64((ulong)bytes.Length);
        WriteBytes(bytes);
    }

    /// <summary>Called on the way into a nested value: a cycle of references ends here instead of in a stack overflow.</summary>
    public void Enter(Type type)
    {
        if (++_depth > WireFormat.MaxDepth)
        {
            throw new SerializerException(
                $"A value of type {type} is nested deeper than {WireFormat.MaxDepth} levels; cyclic references cannot be serialized.");
        }
    }

    public void Leave() => _depth--;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_buffer.Length - _length), nameof(count));
        _length += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_length);
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _length = 0;
    }

    private Span<byte> Take(int bytes)
    {
        EnsureFree(bytes);
        Span<byte> span = _buffer.AsSpan(_length, bytes);
        _length += bytes;
        return span;
    }

    private void EnsureFree(int bytes)
    {
        if (_buffer.Length - _length < bytes)
        {
            Grow(bytes);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int bytes)
    {
        long needed = (long)_length + bytes;
        if (needed > _maxLength)
        {
            throw new SerializerException(
                $"A message of more than {_maxLength:N0} bytes cannot be sent (MaxMessageBodySize of the messaging options).");
        }

        int capacity = (int)Math.Min(BitOperations.RoundUpToPowerOf2((ulong)needed), (ulong)Array.MaxLength);
        byte[] larger = ArrayPool<byte>.Shared.Rent(capacity);
        _buffer.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
