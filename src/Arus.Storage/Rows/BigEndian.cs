using System.Buffers.Binary;

namespace Arus.Storage;

internal sealed class BigEndianWriter(Stream stream) : IDisposable
{
    public void Write(int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        stream.Write(bytes);
    }

    public void Write(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, value);
        stream.Write(bytes);
    }

    /// <summary>The length in 4 bytes, then the bytes.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        Write(bytes.Length);
        stream.Write(bytes);
    }

    public void Dispose() => stream.Dispose();
}

/// <summary>Reads what is behind a CRC, so that anything that does not fit is an error of the writer.</summary>
internal ref struct BigEndianReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public int ReadInt32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    public long ReadInt64() => BinaryPrimitives.ReadInt64BigEndian(Take(8));

    public byte[] ReadBytes() => Take(ReadInt32()).ToArray();

    /// <summary>A number of elements, checked against what is left before anything is allocated for it.</summary>
    public int ReadCount(int elementSize)
    {
        int count = ReadInt32();
        return count >= 0 && (long)count * elementSize <= _rest.Length ? count : throw Damaged();
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length < 0 || length > _rest.Length)
        {
            throw Damaged();
        }

        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }

    private static LogException Damaged() => new("The head of the log is damaged: its content does not fit its length.");
}
