using System.Buffers.Binary;
using System.Text;

namespace Orleans.Serialization;

/// <summary>
/// Reads one message from contiguous bytes. Every length is checked against what is left before anything is allocated; a message
/// that lies about one ends in <see cref="InvalidDataException"/>. Not safe for concurrent use.
/// </summary>
internal sealed class MessageReader
{
    private byte[] _array = [];
    private int _position;
    private int _end;

    /// <summary>Binds the grain references that are read to the silo or client that reads them.</summary>
    public IReferenceRuntime? Runtime { get; set; }

    public int Remaining => _end - _position;

    public int Position => _position;

    public byte[] Array => _array;

    public void Reset(byte[] array, int offset, int count) => (_array, _position, _end) = (array, offset, offset + count);

    public byte ReadByte() => _position < _end ? _array[_position++] : throw Truncated();

    public bool ReadBool() => ReadByte() != 0;

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(ReadSpan(4));

    public long ReadInt64() => BinaryPrimitives.ReadInt64LittleEndian(ReadSpan(8));

    public ulong ReadVarUInt()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = ReadByte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }

        throw new InvalidDataException("A number in the message has more than ten bytes.");
    }

    public long ReadVarInt()
    {
        ulong raw = ReadVarUInt();
        return (long)(raw >> 1) ^ -(long)(raw & 1);
    }

    /// <summary>A number of elements, each of at least <paramref name="minimumSize"/> bytes.</summary>
    public int ReadCount(int minimumSize = 1)
    {
        ulong count = ReadVarUInt();
        return count * (ulong)Math.Max(minimumSize, 1) <= (ulong)Remaining
            ? (int)count
            : throw new InvalidDataException($"The message claims {count} elements where {Remaining} bytes are left.");
    }

    /// <summary>The next bytes, in place: valid while the message is.</summary>
    public ReadOnlySpan<byte> ReadSpan(int count)
    {
        if ((uint)count > (uint)Remaining)
        {
            throw Truncated();
        }

        _position += count;
        return _array.AsSpan(_position - count, count);
    }

    public string? ReadString()
    {
        ulong length = ReadVarUInt();
        return length == 0 ? null
            : length - 1 <= (ulong)Remaining ? Encoding.UTF8.GetString(ReadSpan((int)(length - 1)))
            : throw Truncated();
    }

    private InvalidDataException Truncated() => new("The message ends in the middle of a value.");
}
