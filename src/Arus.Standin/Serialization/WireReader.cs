using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace Orleans.Serialization;

/// <summary>
/// Reads what a <see cref="WireWriter"/> wrote. Every length is checked against what is left before anything is allocated for it;
/// input that makes no sense throws <see cref="SerializerException"/>. Not thread-safe.
/// </summary>
internal sealed class WireReader
{
    private byte[] _buffer = [];
    private int _start;
    private int _position;
    private int _end;
    private int _depth;
    private bool _sliceable;

    /// <summary>Bytes not read yet.</summary>
    public int Remaining => _end - _position;

    /// <summary>Bytes read so far.</summary>
    public int Consumed => _position - _start;

    /// <summary>Starts on new input.</summary>
    /// <param name="input">What to read; it must stay as it is until reading has ended.</param>
    /// <param name="sliceable">Nobody will ever write to this memory again: large payloads may be slices of it, without a copy.</param>
    public void Reset(ReadOnlyMemory<byte> input, bool sliceable)
    {
        if (System.Runtime.InteropServices.MemoryMarshal.TryGetArray(input, out ArraySegment<byte> segment))
        {
            Reset(segment.Array!, segment.Offset, segment.Count, sliceable);
        }
        else
        {
            Reset(input.ToArray(), 0, input.Length, sliceable: true);
        }
    }

    /// <inheritdoc cref="Reset(ReadOnlyMemory{byte}, bool)"/>
    public void Reset(in ReadOnlySequence<byte> input, bool sliceable)
    {
        if (input.IsSingleSegment)
        {
            Reset(input.First, sliceable);
        }
        else
        {
            // One copy makes it contiguous; payloads are then slices of that copy, not copies of it.
            byte[] whole = GC.AllocateUninitializedArray<byte>(checked((int)input.Length));
            input.CopyTo(whole);
            Reset(whole, 0, whole.Length, sliceable: true);
        }
    }

    public void Reset(byte[] buffer, int offset, int count, bool sliceable)
    {
        _buffer = buffer;
        _start = _position = offset;
        _end = offset + count;
        _depth = 0;
        _sliceable = sliceable;
    }

    /// <summary>Lets go of the input.</summary>
    public void Clear() => Reset([], 0, 0, sliceable: false);

    public byte ReadByte()
    {
        if (_position == _end)
        {
            ThrowTooShort(1);
        }

        return _buffer[_position++];
    }

    public bool ReadBool() => ReadByte() switch
    {
        0 => false,
        1 => true,
        byte other => throw Corrupt($"{other} is not a boolean"),
    };

    public uint ReadVarUInt32()
    {
        ulong value = ReadVarUInt64();
        return value <= uint.MaxValue ? (uint)value : throw Corrupt($"{value} is more than 32 bits hold");
    }

    public ulong ReadVarUInt64()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = ReadByte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return shift == 63 && next > 1 ? throw Corrupt("an integer is longer than 64 bits") : value;
            }
        }

        throw Corrupt("an integer is longer than 64 bits");
    }

    public int ReadVarInt32()
    {
        uint value = ReadVarUInt32();
        return (int)(value >> 1) ^ -(int)(value & 1);
    }

    public long ReadVarInt64()
    {
        ulong value = ReadVarUInt64();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public long ReadInt64() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    public T ReadRaw<T>() where T : unmanaged => Unsafe.ReadUnaligned<T>(in Take(Unsafe.SizeOf<T>())[0]);

    public string? ReadString()
    {
        ulong length = ReadVarUInt64();
        return length == 0 ? null : Encoding.UTF8.GetString(Take(CheckLength(length - 1)));
    }

    /// <summary>The next <paramref name="count"/> bytes, valid as long as the input is.</summary>
    public ReadOnlySpan<byte> ReadBytes(int count) => Take(count);

    /// <summary>A length and that many bytes, in an array of their own.</summary>
    public byte[] ReadBlock()
    {
        ReadOnlySpan<byte> bytes = Take(CheckLength(ReadVarUInt64()));
        if (bytes.IsEmpty)
        {
            return [];
        }

        byte[] copy = GC.AllocateUninitializedArray<byte>(bytes.Length);
        bytes.CopyTo(copy);
        return copy;
    }

    /// <summary>A length and that many bytes, which nobody may write to: a slice of the input if that is allowed and worth it.</summary>
    public ReadOnlyMemory<byte> ReadBlockShared()
    {
        if (!_sliceable)
        {
            return ReadBlock();
        }

        int before = _position;
        int length = CheckLength(ReadVarUInt64());
        if (length < WireFormat.MinSliceLength)
        {
            _position = before;
            return ReadBlock();
        }

        var slice = new ReadOnlyMemory<byte>(_buffer, _position, length);
        _position += length;
        return slice;
    }

    /// <summary>Reads how many elements follow, and refuses a number that the rest of the input cannot hold.</summary>
    /// <param name="minElementSize">The fewest bytes that an element takes, 1 or more.</param>
    public int ReadCount(int minElementSize)
    {
        ulong count = ReadVarUInt64();
        return count <= (ulong)(Remaining / minElementSize)
            ? (int)count
            : throw Corrupt($"{count} elements are announced and {Remaining} bytes are left");
    }

    public void Enter(Type type)
    {
        if (++_depth > WireFormat.MaxDepth)
        {
            throw Corrupt($"a value of type {type} is nested deeper than {WireFormat.MaxDepth} levels");
        }
    }

    public void Leave() => _depth--;

    /// <summary>An exception that says where the input stopped making sense.</summary>
    public SerializerException Corrupt(string what) => new($"Corrupt message at byte {Consumed} of {_end - _start}: {what}.");

    private int CheckLength(ulong length) => length <= (ulong)Remaining
        ? (int)length
        : throw Corrupt($"a length of {length} bytes is announced and {Remaining} are left");

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > Remaining)
        {
            ThrowTooShort(count);
        }

        var span = new ReadOnlySpan<byte>(_buffer, _position, count);
        _position += count;
        return span;
    }

    private void ThrowTooShort(int needed) => throw Corrupt($"{needed} more bytes are needed and {Remaining} are left");
}
