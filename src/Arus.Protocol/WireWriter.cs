using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Arus.Protocol;

/// <summary>
/// Writes the primitive types to an <see cref="IBufferWriter{T}"/>, or only counts what would be written. Byte fields are copied
/// once, into the output. Call <see cref="Flush"/> at the end.
/// </summary>
public ref struct WireWriter
{
    private const int ChunkSize = 512;

    private readonly IBufferWriter<byte>? _output;
    private readonly bool _writes;
    private string? _message;
    private short _version;
    private Span<byte> _chunk;
    private int _used;
    private long _flushed;

    public WireWriter(IBufferWriter<byte> output) => (_output, _writes) = (output, true);

    /// <param name="memory">At least as many bytes as are written.</param>
    public WireWriter(Span<byte> memory)
    {
        _writes = true;
        _chunk = memory;
    }

    /// <summary>How many bytes were written or counted.</summary>
    public readonly long Length => _flushed + _used;

    /// <summary>A writer that counts, with this one's message for errors.</summary>
    public readonly WireWriter Measure() => new() { _message = _message, _version = _version };

    /// <summary>Names the message for errors and checks that the version is one of its own.</summary>
    public void Begin(string message, short minVersion, short maxVersion, short version)
    {
        (_message, _version) = (message, version);
        ProtocolException.ThrowIfUnknown(message, minVersion, maxVersion, version);
    }

    /// <summary>Hands what is written to the output.</summary>
    public void Flush()
    {
        if (_used > 0)
            _output?.Advance(_used);

        _flushed += _used;
        _chunk = default;
        _used = 0;
    }

    public void WriteBool(bool value) => WriteInt8(value ? (sbyte)1 : (sbyte)0);

    public void WriteInt8(sbyte value)
    {
        if (Reserve(1, out Span<byte> to))
            to[0] = (byte)value;
    }

    public void WriteInt16(short value)
    {
        if (Reserve(2, out Span<byte> to))
            BinaryPrimitives.WriteInt16BigEndian(to, value);
    }

    public void WriteUInt16(ushort value) => WriteInt16((short)value);

    public void WriteErrorCode(ErrorCode value) => WriteInt16((short)value);

    public void WriteInt32(int value)
    {
        if (Reserve(4, out Span<byte> to))
            BinaryPrimitives.WriteInt32BigEndian(to, value);
    }

    public void WriteInt64(long value)
    {
        if (Reserve(8, out Span<byte> to))
            BinaryPrimitives.WriteInt64BigEndian(to, value);
    }

    public void WriteFloat64(double value) => WriteInt64(BitConverter.DoubleToInt64Bits(value));

    public void WriteUuid(Guid value)
    {
        if (Reserve(16, out Span<byte> to))
            value.TryWriteBytes(to, bigEndian: true, out _);
    }

    public void WriteString(LengthFormat lengths, string? value, bool nullable, string field)
    {
        int length = value is null ? -1 : Encoding.UTF8.GetByteCount(value);
        CheckLength(length, short.MaxValue, nullable, field);
        if (lengths == LengthFormat.Fixed)
            WriteInt16((short)length);
        else
            WriteLength(lengths, length);

        if (length > 0 && Reserve(length, out Span<byte> to))
            Encoding.UTF8.GetBytes(value, to);
    }

    public void WriteBytes(LengthFormat lengths, ReadOnlyMemory<byte>? value, bool nullable, string field)
    {
        CheckLength(value?.Length ?? -1, int.MaxValue, nullable, field);
        WriteLength(lengths, value?.Length ?? -1);
        WriteRaw(value.GetValueOrDefault().Span);
    }

    public void WriteRecords(LengthFormat lengths, Records value, bool nullable, string field)
    {
        int length = value.IsNull ? -1 : value.Length;
        CheckLength(length, int.MaxValue, nullable, field);
        WriteLength(lengths, length);
        value.WriteTo(ref this);
    }

    /// <param name="length">-1 for null.</param>
    public void WriteArrayLength(LengthFormat lengths, int length, bool nullable, string field)
    {
        CheckLength(length, WireReader.MaxArrayLength, nullable, field);
        WriteLength(lengths, lengths == LengthFormat.Varint ? length - 1 : length);
    }

    /// <summary>The byte in front of a structure that may be null.</summary>
    public void WritePresence(bool present) => WriteInt8(present ? (sbyte)1 : (sbyte)-1);

    public void WriteTagHead(uint tag, long size)
    {
        WriteVarUInt(tag);
        WriteVarUInt((uint)size);
    }

    public void WriteVarUInt(uint value)
    {
        int size = (38 - BitOperations.LeadingZeroCount(value | 1)) / 7;
        if (!Reserve(size, out Span<byte> to))
            return;

        for (int i = 0; i < size - 1; i++, value >>= 7)
            to[i] = (byte)(value | 0x80);

        to[size - 1] = (byte)value;
    }

    public void WriteVarInt(int value) => WriteVarLong(value);

    /// <summary>See <see cref="Varint"/>.</summary>
    public void WriteVarLong(long value)
    {
        if (Reserve(Varint.SizeOf(value), out Span<byte> to))
            Varint.Write(to, value);
    }

    /// <summary>Bytes as they are: by reference, if the output takes that, or else a copy.</summary>
    public void WriteMemory(ReadOnlyMemory<byte> bytes)
    {
        if (_output is IReferenceBufferWriter output && bytes.Length >= output.MinReference)
        {
            Flush();
            output.AppendReference(bytes);
            _flushed += bytes.Length;
            return;
        }

        WriteRaw(bytes.Span);
    }

    /// <summary>Bytes as they are, in as many pieces as the output wants.</summary>
    public void WriteRaw(ReadOnlySpan<byte> bytes)
    {
        if (!_writes)
        {
            _flushed += bytes.Length;
            return;
        }

        while (bytes.Length > 0)
        {
            if (_used == _chunk.Length)
                NextChunk(1);

            int part = Math.Min(bytes.Length, _chunk.Length - _used);
            bytes[..part].CopyTo(_chunk[_used..]);
            _used += part;
            bytes = bytes[part..];
        }
    }

    /// <summary>False when only counting.</summary>
    private bool Reserve(int size, out Span<byte> to)
    {
        if (!_writes)
        {
            _flushed += size;
            to = default;
            return false;
        }

        if (_chunk.Length - _used < size)
            NextChunk(size);

        to = _chunk.Slice(_used, size);
        _used += size;
        return true;
    }

    private void NextChunk(int size)
    {
        IBufferWriter<byte> output = _output ?? throw new InvalidOperationException("The message is larger than its memory.");
        Flush();
        _chunk = output.GetSpan(Math.Max(size, ChunkSize));
    }

    private void WriteLength(LengthFormat lengths, int length)
    {
        switch (lengths)
        {
            case LengthFormat.Fixed: WriteInt32(length); break;
            case LengthFormat.Compact: WriteVarUInt((uint)(length + 1)); break;
            default: WriteVarLong(length + 1L); break;
        }
    }

    private readonly void CheckLength(int length, int max, bool nullable, string field)
    {
        if (length > max || (length < 0 && !nullable))
            throw Error(length < 0 ? "null is not allowed in this version" : $"length {length} is above {max}", field);
    }

    private readonly ProtocolException Error(string problem, string? field) => new(problem, _message ?? "header", _version, field);
}
