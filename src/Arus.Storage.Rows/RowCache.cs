namespace Arus.Storage.Rows;

/// <summary>The batches of the rows that were used last, the latest at the end, up to a number of bytes. Thread-safe.</summary>
internal sealed class RowCache(int maxBytes)
{
    private const int MaxRows = 64; // They are looked through one after the other.

    private readonly LogLock _lock = new(LockRank.Leaf);
    private readonly List<(string Key, ReadOnlyMemory<byte> Batches)> _recent = [];
    private long _bytes;

    public bool TryGet(string key, out ReadOnlyMemory<byte> batches)
    {
        using (_lock.Enter())
        {
            int index = _recent.FindIndex(row => row.Key == key);
            batches = index < 0 ? default : _recent[index].Batches;
            if (index < 0)
                return false;

            _recent.RemoveAt(index);
            _recent.Add((key, batches));
            return true;
        }
    }

    public void Add(string key, ReadOnlyMemory<byte> batches)
    {
        if (batches.Length > maxBytes)
            return;

        using (_lock.Enter())
        {
            _recent.Add((key, batches));
            _bytes += batches.Length;
            while (_bytes > maxBytes || _recent.Count > MaxRows)
            {
                _bytes -= _recent[0].Batches.Length;
                _recent.RemoveAt(0);
            }
        }
    }
}
