using System.Buffers;
using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// A large response before it goes out: what was encoded, and references to record batches between. So it goes to the socket block by block
/// as the client takes it, and not as a whole into memory for a client that is slow.
/// </summary>
internal sealed class ResponseBuffer : IReferenceBufferWriter, IDisposable
{
    private const int ChunkSize = 4 * 1024;

    private readonly List<ReadOnlyMemory<byte>> _segments = [];
    private readonly List<byte[]> _rented = [];
    private byte[] _chunk = [];
    private int _cut;
    private int _used;

    public int MinReference => 1024;

    /// <summary>The response's bytes in order.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Segments
    {
        get
        {
            Cut();
            return _segments;
        }
    }

    public void AppendReference(ReadOnlyMemory<byte> bytes)
    {
        Cut();
        _segments.Add(bytes);
    }

    public void Advance(int count)
    {
        _used += count;
        Debug.Assert(_used <= _chunk.Length, "No more is written than there was room for.");
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_chunk.Length - _used < Math.Max(sizeHint, 1))
        {
            Cut();
            _chunk = ArrayPool<byte>.Shared.Rent(Math.Max(sizeHint, ChunkSize));
            _rented.Add(_chunk);
            _cut = _used = 0;
        }

        return _chunk.AsMemory(_used);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <summary>Gives the memory back; the segments are not to be used any more.</summary>
    public void Dispose()
    {
        _segments.Clear();
        _rented.ForEach(static chunk => ArrayPool<byte>.Shared.Return(chunk));
        _rented.Clear();
        _chunk = [];
        _cut = _used = 0;
    }

    private void Cut()
    {
        if (_used > _cut)
        {
            _segments.Add(_chunk.AsMemory(_cut, _used - _cut));
            _cut = _used;
        }
    }
}
