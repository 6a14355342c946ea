using System.Diagnostics;

namespace Arus.Coordination;

/// <summary>
/// The offsets that producers have committed in transactions which have not ended: of each partition in the order in which they came, and
/// of each producer one at most.
/// </summary>
internal sealed class PendingOffsets
{
    /// <summary>Offsets of a group that can be pending at once; more are refused.</summary>
    public const int MaxCount = 100_000;

    private readonly Dictionary<TopicPartition, List<PendingOffset>> _byPartition = [];
    private readonly Dictionary<long, HashSet<TopicPartition>> _byProducer = [];

    public int Count { get; private set; }

    public IEnumerable<TopicPartition> Partitions => _byPartition.Keys;

    public bool Has(TopicPartition partition) => _byPartition.ContainsKey(partition);

    public PendingOffset[] Of(TopicPartition partition) => _byPartition.TryGetValue(partition, out var pending) ? [.. pending] : [];

    public TopicPartition[] Of(long producerId) => _byProducer.TryGetValue(producerId, out var partitions) ? [.. partitions] : [];

    /// <summary>One of the producer's: all have the same epoch. Null if it has none.</summary>
    public PendingOffset? Find(long producerId)
    {
        if (!_byProducer.TryGetValue(producerId, out HashSet<TopicPartition>? partitions))
            return null;

        PendingOffset found = _byPartition[partitions.First()].Find(pending => pending.ProducerId == producerId);
        Debug.Assert(found.ProducerId == producerId, "A producer's partitions have an offset of it.");
        return found;
    }

    /// <summary>Takes the place of an earlier one of that producer.</summary>
    public void Add(TopicPartition partition, PendingOffset offset)
    {
        Remove(partition, pending => pending.ProducerId == offset.ProducerId);
        if (!_byPartition.TryGetValue(partition, out List<PendingOffset>? all))
            _byPartition.Add(partition, all = []);

        if (!_byProducer.TryGetValue(offset.ProducerId, out HashSet<TopicPartition>? partitions))
            _byProducer.Add(offset.ProducerId, partitions = []);

        all.Add(offset);
        partitions.Add(partition);
        Count++;
    }

    /// <summary>Takes the producer's offset out, since its transaction is aborted.</summary>
    public void Abort(TopicPartition partition, long producerId) => Remove(partition, pending => pending.ProducerId == producerId);

    /// <summary>
    /// Takes the producer's offset out, since its transaction is committed, and with it those that came before: whatever becomes of their
    /// transactions, this one is the later commit.
    /// </summary>
    public PendingOffset Commit(TopicPartition partition, long producerId)
    {
        List<PendingOffset> all = _byPartition[partition];
        int index = all.FindIndex(pending => pending.ProducerId == producerId);
        PendingOffset committed = all[index];
        PendingOffset[] superseded = [.. all.Take(index + 1)];
        Remove(partition, superseded.Contains);
        return committed;
    }

    public void Remove(TopicPartition partition) => Remove(partition, _ => true);

    public void Clear()
    {
        _byPartition.Clear();
        _byProducer.Clear();
        Count = 0;
    }

    private void Remove(TopicPartition partition, Func<PendingOffset, bool> which)
    {
        if (!_byPartition.TryGetValue(partition, out List<PendingOffset>? all))
            return;

        foreach (PendingOffset pending in all.Where(which).ToArray())
        {
            all.Remove(pending);
            Count--;
            HashSet<TopicPartition> partitions = _byProducer[pending.ProducerId];
            partitions.Remove(partition);
            if (partitions.Count == 0)
                _byProducer.Remove(pending.ProducerId);
        }

        if (all.Count == 0)
            _byPartition.Remove(partition);
    }
}
