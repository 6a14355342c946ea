namespace Arus.Storage;

/// <summary>
/// What a reader has of the tail cache. One that says when it has done with it lets the cache use the memory again; what a read without a
/// lease was given stays as it is for ever. Not thread-safe.
/// </summary>
public sealed class LogReadLease
{
    private readonly List<TailChunk> _chunks = [];

    /// <summary>
    /// Nobody looks any more at what was read with this lease. Where that is not known, it is not called: then the collector takes the
    /// memory.
    /// </summary>
    public void Release()
    {
        foreach (TailChunk chunk in _chunks)
            chunk.Owner.Release(chunk);

        _chunks.Clear();
    }

    internal void Add(TailChunk chunk) => _chunks.Add(chunk);
}
