using System.Collections;
using System.Runtime.CompilerServices;

namespace Arus.Grains;

/// <summary>Record batches (magic 2) in segments of memory. No batch is spread over two segments.</summary>
/// <remarks>
/// Inside a silo a message shares the memory of its sender. Between processes <see cref="RecordBytesCodec"/> copies each segment once on
/// either side, into one new array for each segment that the receiver owns for good: a consumer hands out slices of it as keys, values and
/// headers, so that nobody could know when a pooled array would be free again.
/// </remarks>
[CollectionBuilder(typeof(RecordBytes), nameof(Create)), Alias("arus.RecordBytes"), Immutable]
public readonly struct RecordBytes : IReadOnlyList<ReadOnlyMemory<byte>>
{
    private readonly ReadOnlyMemory<byte>[]? _segments;

    /// <param name="segments">Not copied: it must not change any more.</param>
    public RecordBytes(ReadOnlyMemory<byte>[] segments)
    {
        _segments = segments;
        foreach (ReadOnlyMemory<byte> segment in segments)
            SizeInBytes += segment.Length;
    }

    /// <summary>The bytes of all segments.</summary>
    public long SizeInBytes { get; }

    /// <summary>The number of segments.</summary>
    public int Count => Segments.Length;

    /// <summary>To be read only.</summary>
    public ReadOnlyMemory<byte>[] Segments => _segments ?? [];

    public ReadOnlyMemory<byte> this[int index] => Segments[index];

    public static implicit operator RecordBytes(ReadOnlyMemory<byte>[] segments) => new(segments);

    public static RecordBytes Create(ReadOnlySpan<ReadOnlyMemory<byte>> segments) => segments.IsEmpty ? default : new(segments.ToArray());

    public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator() => ((IEnumerable<ReadOnlyMemory<byte>>)Segments).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
