namespace Arus.Storage;

/// <summary>
/// How much memory the recent batches of all logs may take. Beyond it, the chunk that was used least recently goes (second chance:
/// a chunk that was used since it was last looked at is passed over once). Thread-safe.
/// </summary>
internal sealed class TailCacheBudget(long limitBytes)
{
    private readonly Lock _lock = new();
    private readonly Queue<TailChunk> _chunks = new();
    private long _used;

    public long UsedBytes => Interlocked.Read(ref _used);

    /// <summary>Counts a new chunk. The caller holds its log's locks, so nothing is evicted here; see <see cref="Trim"/>.</summary>
    public void Add(TailChunk chunk)
    {
        lock (_lock)
        {
            _chunks.Enqueue(chunk);
            Interlocked.Add(ref _used, chunk.Bytes.Length);
        }
    }

    /// <summary>Evicts until the budget is kept. Called without any log's lock.</summary>
    public void Trim()
    {
        if (UsedBytes <= limitBytes)
            return;

        // Every chunk is passed over at most once for its second chance; what cannot go because it is being written stays over budget.
        int attempts;
        lock (_lock)
            attempts = _chunks.Count * 2;

        while (attempts-- > 0 && UsedBytes > limitBytes && TakeCandidate() is { } chunk)
        {
            if (chunk.IsDropped || chunk.Owner.TryDrop(chunk))
            {
                Interlocked.Add(ref _used, -chunk.Bytes.Length);
            }
            else
            {
                lock (_lock)
                    _chunks.Enqueue(chunk);
            }
        }
    }

    /// <summary>Gives back the bytes of chunks that their log dropped by itself.</summary>
    public void RemoveDropped()
    {
        lock (_lock)
        {
            for (int i = _chunks.Count; i > 0; i--)
            {
                TailChunk chunk = _chunks.Dequeue();
                if (chunk.IsDropped)
                    Interlocked.Add(ref _used, -chunk.Bytes.Length);
                else
                    _chunks.Enqueue(chunk);
            }
        }
    }

    private TailChunk? TakeCandidate()
    {
        lock (_lock)
        {
            for (int i = _chunks.Count; i > 0; i--)
            {
                TailChunk chunk = _chunks.Dequeue();
                if (!chunk.Referenced || chunk.IsDropped)
                    return chunk;

                chunk.Referenced = false;
                _chunks.Enqueue(chunk);
            }

            return _chunks.TryDequeue(out TailChunk? any) ? any : null;
        }
    }
}
