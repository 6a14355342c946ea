using System.Buffers;

namespace Arus.Protocol;

/// <summary>
/// Record batches as a field of Produce or Fetch: one slice of a frame when read, one or several pieces of memory when written.
/// Nothing is copied. The default is empty, not null.
/// </summary>
public readonly struct Records
{
    private readonly ReadOnlyMemory<byte> _single;
    private readonly ReadOnlyMemory<byte>[]? _pieces;

    public Records(ReadOnlyMemory<byte> bytes)
    {
        _single = bytes;
        Length = bytes.Length;
    }

    /// <exception cref="OverflowException">The pieces are longer than a field can be.</exception>
    public Records(ReadOnlyMemory<byte>[] pieces)
    {
        if (pieces.Length == 1)
        {
            (_single, Length) = (pieces[0], pieces[0].Length);
            return;
        }

        _pieces = pieces;
        foreach (ReadOnlyMemory<byte> piece in pieces)
            Length = checked(Length + piece.Length);
    }

    private Records(bool isNull) => IsNull = isNull;

    public static Records Null { get; } = new(true);

    public bool IsNull { get; }

    /// <summary>Bytes; 0 for null.</summary>
    public int Length { get; }

    public static implicit operator Records(ReadOnlyMemory<byte> bytes) => new(bytes);

    public static implicit operator Records(ReadOnlyMemory<byte>[] pieces) => new(pieces);

    public static implicit operator Records(byte[] bytes) => new(new ReadOnlyMemory<byte>(bytes));

    /// <summary>As one piece: itself if it is one, as always after reading; otherwise a copy.</summary>
    public ReadOnlyMemory<byte> ToMemory()
    {
        if (_pieces is null)
            return _single;

        var all = new byte[Length];
        var writer = new WireWriter(all);
        WriteTo(ref writer);
        return all;
    }

    internal void WriteTo(ref WireWriter writer)
    {
        if (_pieces is null)
        {
            writer.WriteMemory(_single);
            return;
        }

        foreach (ReadOnlyMemory<byte> piece in _pieces)
            writer.WriteMemory(piece);
    }
}
