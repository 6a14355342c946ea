using System.Buffers.Binary;
using System.Text;

namespace Arus.Protocol;

/// <summary>
/// Reads the primitive types (protocol page "Protocol Primitive Types") from one frame. Every length and count is checked against
/// what is left of the frame before anything is allocated for it; whatever is wrong is a <see cref="ProtocolException"/>.
/// </summary>
public ref struct WireReader
{
    /// <summary>No array has more elements.</summary>
    public const int MaxArrayLength = 1_000_000;

    /// <summary>No structure has more tagged fields.</summary>
    public const int MaxTags = 10_000;

    private readonly ReadOnlyMemory<byte> _frame;
    private readonly ReadOnlySpan<byte> _span;
    private string? _message;
    private short _version;
    private int _limit;
    private int _position;
    private int _elementsLeft;

    /// <param name="frame">The bytes after the size; what is read keeps referring to it.</param>
    /// <param name="maxElements">How many elements all arrays together may have.</param>
    public WireReader(ReadOnlyMemory<byte> frame, int maxElements = int.MaxValue)
    {
        _elementsLeft = maxElements;
        _frame = frame;
        _span = frame.Span;
        _limit = frame.Length;
        _version = -1;
    }

    /// <summary>How many bytes are not read yet.</summary>
    public readonly int Remaining => _limit - _position;

    /// <summary>Names the message for errors and checks that the version is one of its own.</summary>
    public void Begin(string message, short minVersion, short maxVersion, short version)
    {
        (_message, _version) = (message, version);
        ProtocolException.ThrowIfUnknown(message, minVersion, maxVersion, version);
    }

    public bool ReadBool(string field) => Take(1, field)[0] != 0;

    public sbyte ReadInt8(string field) => (sbyte)Take(1, field)[0];

    public short ReadInt16(string field) => BinaryPrimitives.ReadInt16BigEndian(Take(2, field));

    public ushort ReadUInt16(string field) => BinaryPrimitives.ReadUInt16BigEndian(Take(2, field));

    public int ReadInt32(string field) => BinaryPrimitives.ReadInt32BigEndian(Take(4, field));

    public long ReadInt64(string field) => BinaryPrimitives.ReadInt64BigEndian(Take(8, field));

    public double ReadFloat64(string field) => BinaryPrimitives.ReadDoubleBigEndian(Take(8, field));

    public Guid ReadUuid(string field) => new(Take(16, field), bigEndian: true);

    public ErrorCode ReadErrorCode(string field) => (ErrorCode)ReadInt16(field);

    /// <summary>Bytes that are not UTF-8 become U+FFFD, as in Kafka.</summary>
    public string? ReadString(LengthFormat lengths, bool nullable, string field)
    {
        int length = lengths == LengthFormat.Fixed ? ReadInt16(field) : ReadLength(lengths, field);
        return CheckLength(length, short.MaxValue, nullable, field) ? Encoding.UTF8.GetString(Take(length, field)) : null;
    }

    public ReadOnlyMemory<byte>? ReadBytes(LengthFormat lengths, bool nullable, string field)
    {
        int length = ReadLength(lengths, field);
        return CheckLength(length, int.MaxValue, nullable, field) ? ReadRaw(length, field) : default(ReadOnlyMemory<byte>?);
    }

    public Records ReadRecords(LengthFormat lengths, bool nullable, string field) =>
        ReadBytes(lengths, nullable, field) is { } bytes ? new Records(bytes) : Records.Null;

    /// <summary>Bytes without a length of their own.</summary>
    public ReadOnlyMemory<byte> ReadRaw(int length, string field)
    {
        CheckLength(length, int.MaxValue, false, field);
        int start = _position;
        Take(length, field);
        return _frame.Slice(start, length);
    }

    /// <summary>The number of elements; -1 for null. It is checked against the bytes that are left.</summary>
    public int ReadArrayLength(LengthFormat lengths, bool nullable, int minElementSize, string field) =>
        CheckCount(lengths == LengthFormat.Varint ? ReadVarInt(field) : ReadLength(lengths, field), nullable, minElementSize, field);

    /// <summary>Checks a number of elements, or -1 for null, before anything is allocated for them.</summary>
    public int CheckCount(int count, bool nullable, int minElementSize, string field)
    {
        if (!CheckLength(count, MaxArrayLength, nullable, field))
            return count;

        if ((long)count * minElementSize > Remaining)
            throw Error($"{count} elements do not fit into the {Remaining} bytes that are left", field);

        if (count > _elementsLeft)
            throw Error($"{count} elements are more than the {_elementsLeft} that the arrays of a request may still have", field);

        _elementsLeft -= count;
        return count;
    }

    /// <summary>The byte in front of a structure that may be null.</summary>
    public bool ReadPresence(string field) => ReadInt8(field) switch
    {
        -1 => false,
        1 => true,
        var other => throw Error($"{other} is neither present (1) nor null (-1)", field),
    };

    public int ReadTagCount(string field)
    {
        uint count = ReadVarUInt(field);
        return count <= MaxTags && count * 2 <= Remaining ? (int)count : throw Error($"{count} tagged fields", field);
    }

    /// <summary>Reads a tag's head; until <see cref="EndTag"/> or <see cref="SkipTag"/> the reader ends where the tag does.</summary>
    public uint ReadTag(out int outerLimit, string field)
    {
        uint tag = ReadVarUInt(field);
        uint size = ReadVarUInt(field);
        if (size > Remaining)
            throw Error($"tagged field {tag} of {size} bytes, but only {Remaining} are left", field);

        outerLimit = _limit;
        _limit = _position + (int)size;
        return tag;
    }

    public void EndTag(int outerLimit, string field)
    {
        if (Remaining != 0)
            throw Error($"{Remaining} bytes too many in a tagged field", field);

        _limit = outerLimit;
    }

    public void SkipTag(int outerLimit)
    {
        _position = _limit;
        _limit = outerLimit;
    }

    /// <summary>Skips a section of tagged fields none of which is known.</summary>
    public void SkipTags(string field)
    {
        for (int tags = ReadTagCount(field); tags > 0; tags--)
        {
            ReadTag(out int outerLimit, field);
            SkipTag(outerLimit);
        }
    }

    public uint ReadVarUInt(string field)
    {
        uint value = 0;
        for (int shift = 0; shift < 35; shift += 7)
        {
            uint next = Take(1, field)[0];
            if (shift == 28 && next > 0x0F)
                break;

            value |= (next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }

        throw Error("a number of variable length is longer than 32 bits", field);
    }

    /// <summary>See <see cref="Varint"/>.</summary>
    public int ReadVarInt(string field)
    {
        long value = ReadVarLong(field);
        return value == (int)value ? (int)value : throw Error($"{value} is no 32-bit number", field);
    }

    /// <inheritdoc cref="ReadVarInt"/>
    public long ReadVarLong(string field) => Varint.TryRead(_span[.._limit], ref _position, out long value)
        ? value
        : throw Error("a number of variable length does not end", field);

    internal readonly ProtocolException Error(string problem, string? field) => new(problem, _message ?? "header", _version, field);

    private int ReadLength(LengthFormat lengths, string field)
    {
        if (lengths == LengthFormat.Fixed)
            return ReadInt32(field);

        long value = lengths == LengthFormat.Compact ? ReadVarUInt(field) : ReadVarLong(field);
        return value is >= 0 and <= int.MaxValue ? (int)value - 1 : throw Error($"length {value - 1}", field);
    }

    /// <summary>True for a length, false for an allowed null.</summary>
    private readonly bool CheckLength(int length, int max, bool nullable, string field)
    {
        if (length >= 0 && length <= max)
            return true;

        return length == -1
            ? nullable ? false : throw Error("null is not allowed", field)
            : throw Error(length < 0 ? $"negative length {length}" : $"length {length} is above {max}", field);
    }

    private ReadOnlySpan<byte> Take(int length, string field)
    {
        if (length > _limit - _position)
            throw Error($"{length} bytes wanted, {Remaining} left", field);

        ReadOnlySpan<byte> taken = _span.Slice(_position, length);
        _position += length;
        return taken;
    }
}
