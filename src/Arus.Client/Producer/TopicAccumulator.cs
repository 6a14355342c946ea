using Arus.Grains;

namespace Arus.Client;

/// <summary>The partitions of one topic as a producer sees them, and the choice among them. Thread-safe.</summary>
internal sealed class TopicAccumulator(ProducerCore core, string name)
{
    private readonly Lock _gate = new();
    private volatile PartitionAccumulator[] _partitions = [];
    private volatile StickyChoice? _sticky;

    /// <summary>False before its partitions are known, and once it was found missing.</summary>
    public bool IsKnown { get; private set; }

    /// <summary>Takes the topic's partitions from the metadata cache, which reads metadata that is too old in the background.</summary>
    public void Refresh()
    {
        if (!core.Topics.TryGet(name, core.Options.MetadataMaxAge, out Grains.TopicDescription? description))
            IsKnown = false;
        else if (description.Partitions.Length > _partitions.Length)
            Grow(description.Partitions.Length);
    }

    public void Grow(int count)
    {
        lock (_gate)
        {
            IsKnown = true;
            PartitionAccumulator[] old = _partitions;
            if (old.Length < count)
            {
                _partitions = [.. old, .. Enumerable.Range(old.Length, count - old.Length)
                    .Select(p => new PartitionAccumulator(core, this, new TopicPartition(name, p)))];
            }
        }
    }

    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.UnknownTopicOrPartition"/> when the record names a partition that is not there.
    /// </exception>
    public PartitionAccumulator Choose(int? explicitPartition, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, long size)
    {
        PartitionAccumulator[] all = _partitions;
        if (explicitPartition is { } wanted)
        {
            return (uint)wanted < (uint)all.Length
                ? all[wanted]
                : throw new ArusException(
                    ErrorCode.UnknownTopicOrPartition, $"Topic '{name}' has partitions 0 to {all.Length - 1}; there is no {wanted}.");
        }

        int selected = (core.Options.Partitioner ?? Partitioners.Default).Select(
            new PartitionRequest(name, all.Length, key, isKeyNull, value));
        if (selected == IPartitioner.AnyPartition)
        {
            // Another thread may have drawn it among partitions that came since; those are read again, after it.
            int drawn = NextSticky(size, all.Length);
            return _partitions[drawn];
        }

        return (uint)selected < (uint)all.Length
            ? all[selected]
            : throw new InvalidOperationException(
                $"The partitioner chose partition {selected} of topic '{name}', which has {all.Length}.");
    }

    public void Flush(List<Task>? outcomes)
    {
        foreach (PartitionAccumulator partition in _partitions)
            partition.Flush(outcomes);
    }

    /// <summary>KIP-794: one partition gets a batch's worth of bytes, then another is drawn.</summary>
    private int NextSticky(long size, int count)
    {
        StickyChoice? current = _sticky;
        if (current is not null && current.TryAdd(size, core.Options.BatchSize))
            return current.Partition;

        lock (_gate)
        {
            if (ReferenceEquals(_sticky, current))
            {
                // Not the same one twice in a row, as long as there is another.
                int last = current?.Partition ?? -1;
                bool hasOther = count > 1 && last >= 0;
                int draw = Random.Shared.Next(hasOther ? count - 1 : count);
                _sticky = new StickyChoice(hasOther && draw >= last ? draw + 1 : draw);
            }

            // A record that is larger than a batch goes to this partition, too.
            _sticky!.TryAdd(size, core.Options.BatchSize);
            return _sticky.Partition;
        }
    }

    /// <summary>The sticky partition of now. It counts bytes without a lock, since every record without a key passes here.</summary>
    private sealed class StickyChoice(int partition)
    {
        private long _bytes;

        public int Partition => partition;

        public bool TryAdd(long size, long limit) => Interlocked.Add(ref _bytes, size) <= limit;
    }
}
