using System.Buffers;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Arus.Storage;

/// <summary>
/// One log's recent batches: where appends are copied to, what the disk is written from, and what tailing consumers read. A log
/// that is not written to holds nothing once the budget has taken its chunks.
/// </summary>
/// <param name="listLock">The <see cref="SegmentList"/>'s; it guards the list of chunks and what is published of them.</param>
internal sealed class TailCache(TailCacheBudget budget, LogLock listLock)
{
    /// <summary>A log's first chunk; each next one is twice as large, so that 1,000 busy partitions do not begin with a gigabyte.</summary>
    public const int MinChunkBytes = 8 * 1024;
    public const int MaxChunkBytes = 1024 * 1024;

    private List<TailChunk>? _chunks;
    private TailChunk? _tail;
    private int _nextChunkBytes = MinChunkBytes;

    /// <summary>What lies before it is not as it is in the files.</summary>
    private long _servedFrom;

    /// <summary>Takes room for a batch at the tail. Called by the appender only, one at a time.</summary>
    /// <returns>The chunk, and where in it the batch goes.</returns>
    public (TailChunk Chunk, int Start) Reserve(int length, long baseOffset)
    {
        while (true)
        {
            TailChunk? tail = _tail;
            if (tail is null || tail.IsDropped || tail.Bytes.Length - tail.Reserved < length)
            {
                int capacity = Math.Max(_nextChunkBytes, length);
                _nextChunkBytes = Math.Min(_nextChunkBytes * 2, MaxChunkBytes);
                tail = new TailChunk(this, ArrayPool<byte>.Shared.Rent(capacity), baseOffset);
                using (listLock.Enter())
                {
                    (_chunks ??= []).Add(tail);
                    _tail = tail;
                }

                budget.Add(tail);
            }

            int start = tail.Reserved;
            using (listLock.Enter())
            {
                if (!tail.IsDropped)
                {
                    tail.Reserved += length;
                    return (tail, start);
                }
            }
        }
    }

    /// <summary>Hands the chunk that holds an offset to a reader; null when there is none. Called under the list's lock.</summary>
    public TailChunk? Find(long offset, LogReadLease? lease)
    {
        if (offset < _servedFrom)
            return null;

        ReadOnlySpan<TailChunk> chunks = CollectionsMarshal.AsSpan(_chunks);
        int index = OffsetRange.FirstEndingAfter(chunks, offset);
        if (index == chunks.Length || chunks[index] is not { Committed: > 0 } chunk || chunk.BaseOffset > offset)
            return null;

        if (lease is null)
        {
            chunk.WasRead = true;
        }
        else
        {
            chunk.Leases++;
            lease.Add(chunk);
        }

        return chunk;
    }

    /// <summary>A reader has done with a chunk that it had on a lease.</summary>
    public void Release(TailChunk chunk)
    {
        bool isLast;
        using (listLock.Enter())
        {
            Debug.Assert(chunk.Leases > 0, "A lease is released once.");
            chunk.Leases--;
            isLast = chunk.IsDropped && chunk.IsUnseen;
        }

        if (isLast)
            ArrayPool<byte>.Shared.Return(chunk.Bytes);
    }

    /// <summary>Offsets before this one were compacted in the files. Called under the list's lock.</summary>
    public void ServeFrom(long offset) => _servedFrom = Math.Max(_servedFrom, offset);

    /// <summary>The whole batches of a chunk from an offset on, and of those that follow it, as far as the bytes allow.</summary>
    /// <param name="endOffset">No batch that ends behind it.</param>
    public ReadOnlyMemory<byte>[] Read(
        TailChunk chunk, long offset, int maxBytes, bool minOneBatch, long endOffset, LogReadLease? lease)
    {
        ReadOnlyMemory<byte> first = Slice(chunk, offset, maxBytes, minOneBatch, endOffset, lease, out TailChunk? next);
        if (next is null)
            return first.IsEmpty ? [] : [first];

        var slices = new List<ReadOnlyMemory<byte>>(4) { first };
        int left = maxBytes - first.Length;
        while (next is not null)
        {
            ReadOnlyMemory<byte> slice = Slice(next, next.BaseOffset, left, minOneBatch: false, endOffset, lease, out next);
            if (!slice.IsEmpty)
            {
                slices.Add(slice);
                left -= slice.Length;
            }
        }

        return [.. slices];
    }

    /// <summary>Drops a chunk unless an append under way needs it.</summary>
    public bool TryDrop(TailChunk chunk)
    {
        bool isUnseen;
        using (listLock.Enter())
        {
            if (chunk.Reserved != chunk.Committed)
                return false;

            chunk.IsDropped = true;
            isUnseen = chunk.IsUnseen;
            _chunks!.Remove(chunk);
            if (_tail == chunk)
            {
                _tail = null;
                _nextChunkBytes = MinChunkBytes;
            }
        }

        if (isUnseen)
            ArrayPool<byte>.Shared.Return(chunk.Bytes); // Fresh memory costs more than the copy into it.

        return true;
    }

    /// <summary>Drops everything: the log was truncated or closed. Called with no append under way.</summary>
    public void Clear()
    {
        using (listLock.Enter())
        {
            _servedFrom = 0;
            if (_chunks is null or [])
                return;

            _chunks.ForEach(chunk => chunk.IsDropped = true);
            _chunks.Clear();
            _tail = null;
            _nextChunkBytes = MinChunkBytes;
        }

        budget.RemoveDropped();
    }

    /// <summary>The whole batches of one chunk, and the chunk that follows when there is room for more.</summary>
    private ReadOnlyMemory<byte> Slice(
        TailChunk chunk, long offset, int maxBytes, bool minOneBatch, long endOffset, LogReadLease? lease, out TailChunk? next)
    {
        int position;
        int end;
        using (listLock.Enter())
        {
            position = chunk.Floor(offset);
            end = chunk.Committed;
            chunk.Referenced = true;
        }

        ReadOnlySpan<byte> bytes = chunk.Bytes.AsSpan(0, end);
        position = BatchSlicing.PositionOf(bytes, offset, position);
        next = null;
        int length = BatchSlicing.WholeBatches(bytes[position..], maxBytes, minOneBatch, out _, endOffset);
        if (length > 0 && position + length == end)
        {
            using (listLock.Enter())
                next = chunk.Committed == end && Find(chunk.NextOffset, lease) is { } other && other != chunk ? other : null;
        }

        return chunk.Bytes.AsMemory(position, length);
    }
}
