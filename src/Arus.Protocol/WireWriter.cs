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
    private ApiDescriptor? _api;
    private bool _isRequest;
    private short _version;
    private Span<byte> _chunk;
    private int _used;
    private long _flushed;

    public WireWriter(IBufferWriter<byte> output) => _output = output;

    /// <summary>How many bytes were written or counted.</summary>
    public readonly long Length => _flushed + _used;

    private readonly bool IsMeasuring => _output is null;

    /// <summary>A writer that counts, with this one's message for errors.</summary>
    public readonly WireWriter Measure() => new() { _api = _api, _isRequest = _isRequest, _version = _version };

    /// <summary>Names the message for errors and checks that the version is one of its own.</summary>
    public void Begin(ApiDescriptor api, bool isRequest, short version)
    {
        (_api, _isRequest, _version) = (api, isRequest, version);
        if (!api.Supports(version))
        {
            throw Error($"the version is not one of {api.MinVersion} to {api.MaxVersion}", null);
        }
    }

    /// <summary>Hands what is written to the output.</summary>
    public void Flush()
    {
        if (_used > 0)
        {
            _output?.Advance(_used);
        }

        _flushed += _used;
        _chunk = default;
        _used = 0;
    }

    public void WriteBool(bool value) => WriteInt8(value ? (sbyte)1 : (sbyte)0);

    public void WriteInt8(sbyte value)
    {
        if (Reserve(1, out Span<byte> to))
        {
            to[0] = (byte)value;
        }
    }

    public void WriteInt16(short value)
    {
        if (Reserve(2, out Span<byte> to))
        {
            BinaryPrimitives.WriteInt16BigEndian(to, value);
        }
    }

    public void WriteUInt16(ushort value) => WriteInt16((short)value);

    public void WriteErrorCode(ErrorCode value) => WriteInt16((short)value);

    public void WriteInt32(int value)
    {
        if (Reserve(4, out Span<byte> to))
        {
            BinaryPrimitives.WriteInt32BigEndian(to, value);
        }
    }

    public void WriteInt64(long value)
    {
        if (Reserve(8, out Span<byte> to))
        {
            BinaryPrimitives.WriteInt64BigEndian(to, value);
        }
    }

    public void WriteFloat64(double value) => WriteInt64(BitConverter.DoubleToInt64Bits(value));

    public void WriteUuid(Guid value)
    {
        if (Reserve(16, out Span<byte> to))
        {
            value.TryWriteBytes(to, bigEndian: true, out _);
        }
    }

    public void WriteString(bool flexible, string value, string field) => WriteStringOrNull(flexible, value, false, field);

    public void WriteStringOrNull(bool flexible, string? value, bool nullable, string field)
    {
        int length = value is null ? -1 : Encoding.UTF8.GetByteCount(value);
        CheckLength(length, short.MaxValue, nullable, field);
        if (flexible)
        {
            WriteVarUInt((uint)(length + 1));
        }
        else
        {
            WriteInt16((short)length);
        }

        if (length > 0 && Reserve(length, out Span<byte> to))
        {
            Encoding.UTF8.GetBytes(value, to);
        }
    }

    public void WriteBytes(bool flexible, ReadOnlyMemory<byte> value, string field)
    {
        WriteByteLength(flexible, value.Length);
        WriteRaw(value.Span);
    }

    public void WriteRecords(bool flexible, Records value, string field) => WriteRecordsOrNull(flexible, value, false, field);

    public void WriteRecordsOrNull(bool flexible, Records value, bool nullable, string field)
    {
        int length = value.IsNull ? -1 : value.Length;
        CheckLength(length, int.MaxValue, nullable, field);
        WriteByteLength(flexible, length);
        if (IsMeasuring)
        {
            _flushed += value.Length;
            return;
        }

        value.WriteTo(ref this);
    }

    /// <param name="length">-1 for null.</param>
    public void WriteArrayLength(bool flexible, int length, bool nullable, string field)
    {
        CheckLength(length, WireReader.MaxArrayLength, nullable, field);
        WriteByteLength(flexible, length);
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
        {
            return;
        }

        for (int i = 0; i < size - 1; i++, value >>= 7)
        {
            to[i] = (byte)(value | 0x80);
        }

        to[size - 1] = (byte)value;
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
        if (IsMeasuring)
        {
            _flushed += bytes.Length;
            return;
        }

        while (bytes.Length > 0)
        {
            if (_used == _chunk.Length)
            {
                NextChunk(1);
            }

            int part = Math.Min(bytes.Length, _chunk.Length - _used);
            bytes[..part].CopyTo(_chunk[_used..]);
            _used += part;
            bytes = bytes[part..];
        }
    }

    /// <summary>False when only counting.</summary>
    private bool Reserve(int size, out Span<byte> to)
    {
        if (IsMeasuring)
        {
            _flushed += size;
            to = default;
            return false;
        }

        if (_chunk.Length - _used < size)
        {
            NextChunk(size);
        }

        to = _chunk.Slice(_used, size);
        _used += size;
        return true;
    }

    private void NextChunk(int size)
    {
        Flush();
        _chunk = _output!.GetSpan(Math.Max(size, ChunkSize));
    }

    private void WriteByteLength(bool flexible, int length)
    {
        if (flexible)
        {
            WriteVarUInt((uint)(length + 1));
        }
        else
        {
            WriteInt32(length);
        }
    }

    private readonly void CheckLength(int length, int max, bool nullable, string field)
    {
        if (length > max || (length < 0 && !nullable))
        {
            throw Error(length < 0 ? "null is not allowed in this version" : $"length {length} is above {max}", field);
        }
    }

    private readonly ProtocolException Error(string problem, string? field) => new(
        problem, _api is null ? "header" : $"{_api.Key}{(_isRequest ? "Request" : "Response")}", _version, field);
}
