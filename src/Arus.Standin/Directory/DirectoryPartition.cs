namespace Orleans.Runtime;

/// <summary>The entries that this silo keeps. Safe for concurrent use; who calls makes sure that it is the owner.</summary>
internal sealed class DirectoryPartition
{
    private readonly Lock _gate = new();
    private readonly Dictionary<GrainId, GrainAddress> _entries = [];

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _entries.Count;
            }
        }
    }

    /// <summary>The entry of the grain, which is <paramref name="address"/> unless there was one.</summary>
    public GrainAddress AddOrGet(GrainAddress address)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(address.GrainId, out GrainAddress? present))
            {
                return present;
            }

            _entries[address.GrainId] = address;
            return address;
        }
    }

    public GrainAddress? Find(GrainId id)
    {
        lock (_gate)
        {
            return _entries.GetValueOrDefault(id);
        }
    }

    public void Remove(GrainAddress address)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(address.GrainId, out GrainAddress? present) && present.Matches(address))
            {
                _entries.Remove(address.GrainId);
            }
        }
    }

    public void RemoveWhere(Func<GrainAddress, bool> match)
    {
        lock (_gate)
        {
            foreach (GrainAddress address in _entries.Values.Where(match).ToArray())
            {
                _entries.Remove(address.GrainId);
            }
        }
    }
}
