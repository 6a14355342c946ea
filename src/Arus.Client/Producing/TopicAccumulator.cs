namespace Arus.Client;

/// <summary>The partitions of one topic as a producer sees them, and the choice among them. Thread-safe.</summary>
internal sealed class TopicAccumulator(ProducerCore core, string name)
{
    private readonly Lock gate = new();
    private volatile PartitionAccumulator[] partitions = [];
    private int sticky = -1;
    private long stickyBytes;

    /// <summary>Whether it has so many partitions.</summary>
    public bool Has(int count) => partitions.Length >= count;

    public void Grow(int count)
    {
        lock (gate)
        {
            PartitionAccumulator[] old = partitions;
            if (old.Length < count)
            {
                partitions = [.. old, .. Enumerable.Range(old.Length, count - old.Length)
                    .Select(p => new PartitionAccumulator(core, new TopicPartition(name, p)))];
            }
        }
    }

    /// <exception cref="ArusException"><see cref="ErrorCode.UnknownTopicOrPartition"/> when the record names a partition that is not there.</exception>
    public PartitionAccumulator Choose(int? explicitPartition, ReadOnlySpan<byte> key, bool isKeyNull, ReadOnlySpan<byte> value, long size)
    {
        PartitionAccumulator[] all = partitions;
        if (explicitPartition is { } wanted)
        {
            return (uint)wanted < (uint)all.Length
                ? all[wanted]
                : throw new ArusException(
                    ErrorCode.UnknownTopicOrPartition, $"Topic '{name}' has partitions 0 to {all.Length - 1}; there is no {wanted}.");
        }

        int selected = (core.Options.Partitioner ?? Partitioners.Default).Select(new PartitionRequest(name, all.Length, key, isKeyNull, value));
        if (selected == IPartitioner.AnyPartition)
        {
            return all[NextSticky(size, all.Length)];
        }

        return (uint)selected < (uint)all.Length
            ? all[selected]
            : throw new InvalidOperationException(
                $"The partitioner chose partition {selected} of topic '{name}', which has {all.Length}.");
    }

    public void Hurry(List<Task>? outcomes)
    {
        foreach (PartitionAccumulator partition in partitions)
        {
            partition.Hurry(outcomes);
        }
    }

    /// <summary>KIP-794: one partition gets a batch's worth of bytes, then another is drawn.</summary>
    private int NextSticky(long size, int count)
    {
        lock (gate)
        {
            if (sticky < 0 || stickyBytes + size > core.Options.BatchSize)
            {
                // Not the same one twice in a row, as long as there is another.
                int draw = count > 1 && sticky >= 0 ? core.Draw(count - 1) : core.Draw(count);
                sticky = count > 1 && sticky >= 0 && draw >= sticky ? draw + 1 : draw;
                stickyBytes = 0;
            }

            stickyBytes += size;
            return sticky;
        }
    }
}
