namespace Arus.Storage;

/// <summary>
/// One log's recent batches: where appends are copied to, what the disk is written from, and what tailing consumers read. A log
/// that is not written to holds nothing once the budget has taken its chunks.
/// </summary>
/// <param name="stateLock">The log's; guards the list of chunks and what is published of them.</param>
internal sealed class TailCache(TailCacheBudget budget, Lock stateLock)
{
    /// <summary>A log's first chunk; each next one is twice as large, so that 1,000 busy partitions do not begin with a gigabyte.</summary>
    public const int MinChunkBytes = 8 * 1024;
    public const int MaxChunkBytes = 1024 * 1024;

    private readonly List<TailChunk> _chunks = [];
    private TailChunk? _tail;
    private int _nextChunkBytes = MinChunkBytes;

    /// <summary>Takes room for a batch at the tail. Called by the appender only, one at a time.</summary>
    /// <returns>The chunk and where in it the batch goes.</returns>
    public (TailChunk Chunk, int Start) Reserve(int length, long baseOffset)
    {
        TailChunk? tail = _tail;
        if (tail is null || tail.IsDropped || tail.Bytes.Length - tail.Reserved < length)
        {
            int capacity = Math.Max(_nextChunkBytes, length);
            _nextChunkBytes = Math.Min(_nextChunkBytes * 2, MaxChunkBytes);
            tail = new TailChunk(this, budget.Allocate(capacity), baseOffset);
            lock (stateLock)
            {
                _chunks.Add(tail);
                _tail = tail;
            }

            budget.Add(tail);
        }

        int start = tail.Reserved;
        lock (stateLock)
        {
            if (tail.IsDropped)
            {
                return Reserve(length, baseOffset);
            }

            tail.Reserved += length;
        }

        return (tail, start);
    }

    /// <summary>Called without the log's locks, now and then after <see cref="Reserve"/>.</summary>
    public void Trim() => budget.Trim();

    /// <summary>The index of the chunk that holds the offset, or -1. Called under the state lock.</summary>
    public int Find(long offset)
    {
        int low = 0;
        for (int high = _chunks.Count; low < high;)
        {
            int middle = (low + high) >>> 1;
            if (_chunks[middle].NextOffset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low < _chunks.Count && _chunks[low].BaseOffset <= offset && _chunks[low].Committed > 0 ? low : -1;
    }

    /// <summary>Hands a chunk to a reader. Called under the state lock.</summary>
    public TailChunk Read(int index)
    {
        TailChunk chunk = _chunks[index];
        chunk.WasRead = true;
        return chunk;
    }

    /// <summary>Drops a chunk unless an append under way needs it.</summary>
    public bool TryDrop(TailChunk chunk)
    {
        lock (stateLock)
        {
            if (chunk.Reserved != chunk.Committed)
            {
                return false;
            }

            chunk.IsDropped = true;
            _chunks.Remove(chunk);
            if (_tail == chunk)
            {
                _tail = null;
                _nextChunkBytes = MinChunkBytes;
            }
        }

        if (!chunk.WasRead)
        {
            budget.Recycle(chunk.Bytes);
        }

        return true;
    }

    /// <summary>Drops everything: the log was truncated or closed. Called with no append under way.</summary>
    public void Clear()
    {
        lock (stateLock)
        {
            if (_chunks.Count == 0)
            {
                return;
            }

            _chunks.ForEach(chunk => chunk.IsDropped = true);
            _chunks.Clear();
            _tail = null;
            _nextChunkBytes = MinChunkBytes;
        }

        budget.RemoveDropped();
    }
}
