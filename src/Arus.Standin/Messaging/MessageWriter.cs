using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Orleans.Serialization;

/// <summary>
/// Bytes on their way out, in pooled segments. What was written since a <see cref="Mark"/> can be taken back, so that a value that
/// cannot be serialized leaves nothing behind. Not safe for concurrent use.
/// </summary>
internal sealed class MessageWriter : IBufferWriter<byte>
{
    private const int SegmentSize = 64 * 1024;

    private readonly List<(byte[] Array, int Length)> _full = [];
    private byte[] _current = [];
    private int _position;
    private long _fullLength;

    /// <summary>Bytes written since the last <see cref="Reset"/>.</summary>
    public long Length => _fullLength + _position;

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureRoom(sizeHint);
        return _current.AsSpan(_position);
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureRoom(sizeHint);
        return _current.AsMemory(_position);
    }

    public void Advance(int count) => _position += count;

    public void WriteByte(byte value)
    {
        EnsureRoom(1);
        _current[_position++] = value;
    }

    public void WriteBool(bool value) => WriteByte(value ? (byte)1 : (byte)0);

    public void WriteInt32(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(GetSpan(4), value);
        _position += 4;
    }

    public void WriteInt64(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(GetSpan(8), value);
        _position += 8;
    }

    /// <summary>Seven bits a byte, low bits first.</summary>
    public void WriteVarUInt(ulong value)
    {
        Span<byte> span = GetSpan(10);
        int count = 0;
        while (value >= 0x80)
        {
            span[count++] = (byte)(value | 0x80);
            value >>= 7;
        }

        span[count++] = (byte)value;
        _position += count;
    }

    public void WriteVarInt(long value) => WriteVarUInt((ulong)((value << 1) ^ (value >> 63)));

    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        while (!value.IsEmpty)
        {
            Span<byte> room = GetSpan(value.Length <= SegmentSize ? 1 : value.Length);
            int count = Math.Min(room.Length, value.Length);
            value[..count].CopyTo(room);
            _position += count;
            value = value[count..];
        }
    }

    /// <summary>UTF-8 after its length in bytes plus one; 0 stands for null.</summary>
    public void WriteString(string? value)
    {
        if (value is null)
        {
            WriteByte(0);
            return;
        }

        int bytes = Encoding.UTF8.GetByteCount(value);
        WriteVarUInt((ulong)bytes + 1);
        Encoding.UTF8.GetBytes(value, GetSpan(bytes));
        _position += bytes;
    }

    public WriterMark Mark() => new(_full.Count, _current, _position, _fullLength);

    /// <summary>Drops all that was written after the mark.</summary>
    public void Rewind(WriterMark mark)
    {
        while (_full.Count > mark.FullSegments)
        {
            byte[] last = _full[^1].Array;
            _full.RemoveAt(_full.Count - 1);
            if (!ReferenceEquals(_current, mark.Current) && _current.Length > 0)
            {
                ArrayPool<byte>.Shared.Return(_current);
            }

            _current = last;
        }

        if (!ReferenceEquals(_current, mark.Current) && _current.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_current);
        }

        (_current, _position, _fullLength) = (mark.Current, mark.Position, mark.FullLength);
    }

    /// <summary>Room for a number that is known only later.</summary>
    public LengthSlot ReserveLength()
    {
        EnsureRoom(4);
        var slot = new LengthSlot(_current, _position, Length + 4);
        _position += 4;
        return slot;
    }

    /// <summary>Writes the number of bytes that followed the slot into it.</summary>
    public int FillLength(LengthSlot slot)
    {
        int length = checked((int)(Length - slot.Start));
        BinaryPrimitives.WriteInt32LittleEndian(slot.Array.AsSpan(slot.Offset), length);
        return length;
    }

    /// <summary>What was written, in order; valid until the next write.</summary>
    public void CopySegmentsTo(List<ArraySegment<byte>> target)
    {
        foreach ((byte[] array, int length) in _full)
        {
            target.Add(new ArraySegment<byte>(array, 0, length));
        }

        if (_position > 0)
        {
            target.Add(new ArraySegment<byte>(_current, 0, _position));
        }
    }

    public byte[] ToArray()
    {
        byte[] result = new byte[Length];
        int offset = 0;
        foreach ((byte[] array, int length) in _full)
        {
            array.AsSpan(0, length).CopyTo(result.AsSpan(offset));
            offset += length;
        }

        _current.AsSpan(0, _position).CopyTo(result.AsSpan(offset));
        return result;
    }

    /// <summary>Empties the writer; it keeps one segment for the next use.</summary>
    public void Reset()
    {
        foreach ((byte[] array, _) in _full)
        {
            ArrayPool<byte>.Shared.Return(array);
        }

        _full.Clear();
        _position = 0;
        _fullLength = 0;
        if (_current.Length > SegmentSize)
        {
            ArrayPool<byte>.Shared.Return(_current);
            _current = [];
        }
    }

    private void EnsureRoom(int size)
    {
        if (_current.Length - _position >= Math.Max(size, 1))
        {
            return;
        }

        if (_position > 0)
        {
            _full.Add((_current, _position));
            _fullLength += _position;
        }
        else if (_current.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_current);
        }

        _current = ArrayPool<byte>.Shared.Rent(Math.Max(SegmentSize, size));
        _position = 0;
    }
}

internal readonly record struct WriterMark(int FullSegments, byte[] Current, int Position, long FullLength);

internal readonly record struct LengthSlot(byte[] Array, int Offset, long Start);
