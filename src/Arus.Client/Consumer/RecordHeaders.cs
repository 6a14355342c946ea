using System.Collections;
using System.Text;

namespace Arus.Client;

/// <summary>The headers of a record that was read, decoded when enumerated. Valid for good.</summary>
public readonly struct RecordHeaders : IReadOnlyCollection<RecordHeader>
{
    private readonly ReadOnlyMemory<byte> _payload;
    private readonly int _offset;

    internal RecordHeaders(ReadOnlyMemory<byte> payload, int offset, int count)
    {
        _payload = payload;
        _offset = offset;
        Count = count;
    }

    public int Count { get; }

    /// <summary>The last header of that name, or null when there is none.</summary>
    public RecordHeader? Find(string key)
    {
        RecordHeader? found = null;
        foreach (RecordHeader header in this)
            found = header.Key == key ? header : found;

        return found;
    }

    /// <summary>The last header of that name as UTF-8; null when there is none, or when its value is null.</summary>
    public string? FindText(string key) => Find(key)?.Value is { } value ? Encoding.UTF8.GetString(value.Span) : null;

    public RecordHeader[] ToArray() => RecordReader.ReadHeaders(_payload, _offset, Count);

    public IEnumerator<RecordHeader> GetEnumerator() => ((IEnumerable<RecordHeader>)ToArray()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
