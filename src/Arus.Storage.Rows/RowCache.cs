namespace Arus.Storage.Rows;

/// <summary>The batches of the rows that were used last, up to a number of bytes. Thread-safe.</summary>
internal sealed class RowCache(int maxBytes)
{
    private const int MaxRows = 64; // They are looked through one after the other.

    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly LinkedList<(string Key, ReadOnlyMemory<byte> Batches)> _recent = new();
    private long _bytes;

    public bool TryGet(string key, out ReadOnlyMemory<byte> batches)
    {
        using (_lock.Enter())
        {
            for (LinkedListNode<(string Key, ReadOnlyMemory<byte> Batches)>? node = _recent.First; node is not null; node = node.Next)
            {
                if (node.Value.Key == key)
                {
                    _recent.Remove(node);
                    _recent.AddFirst(node);
                    batches = node.Value.Batches;
                    return true;
                }
            }
        }

        batches = default;
        return false;
    }

    public void Add(string key, ReadOnlyMemory<byte> batches)
    {
        if (batches.Length > maxBytes)
            return;

        using (_lock.Enter())
        {
            _recent.AddFirst((key, batches));
            _bytes += batches.Length;
            while (_bytes > maxBytes || _recent.Count > MaxRows)
            {
                _bytes -= _recent.Last!.Value.Batches.Length;
                _recent.RemoveLast();
            }
        }
    }
}
