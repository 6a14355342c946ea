using Arus.Grains;

namespace Arus.Client;

/// <content>How far the application is. Everywhere an offset is the next one: all before it are done with.</content>
internal sealed partial class PartitionFetcher
{
    /// <summary>The next offset to hand out; negative while it is not determined.</summary>
    public long Position { get; private set; } = startOffset;

    /// <summary>The next offset after what the application was given.</summary>
    public long Delivered { get; private set; } = startOffset;

    /// <summary>The next offset after what the application has finished.</summary>
    public long Processed { get; private set; } = startOffset;

    /// <summary>How often a reset went back, to offsets that were read before: the log was cut, or its topic created anew.</summary>
    public int Rewinds { get; private set; }

    /// <summary>What the group has; -1 for unknown.</summary>
    public long Committed { get; set; } = -1;

    /// <summary>Of the last record handed out.</summary>
    public int LeaderEpoch { get; private set; } = -1;

    public long? Lag
    {
        get
        {
            lock (gate)
            {
                return highWatermark < 0 || Delivered < 0 ? null : Math.Max(0, highWatermark - Delivered);
            }
        }
    }

    /// <summary>The application has records that it has not finished.</summary>
    public bool HasUnprocessed
    {
        get
        {
            lock (gate)
            {
                return Delivered > Processed;
            }
        }
    }

    /// <summary>
    /// The application asks for a record that was handed out at a version, and so is done with the one before. False when the record is
    /// not to be delivered any more.
    /// </summary>
    public bool TryDeliver(long offset, int atVersion)
    {
        lock (gate)
        {
            Processed = Delivered;
            if (atVersion != version || isRevoking)
            {
                return false;
            }

            Delivered = offset + 1;
            return true;
        }
    }

    /// <summary>The application has been given everything before <paramref name="offset"/>.</summary>
    public void MarkDelivered(long offset, int atVersion)
    {
        bool mayFetch;
        lock (gate)
        {
            Delivered = atVersion == version ? offset : Delivered;
            mayFetch = isFetchHeld && IsDrained;
        }

        if (mayFetch)
        {
            Changed?.Invoke();
        }
    }

    /// <summary>The application is done with what it was given.</summary>
    public void MarkProcessed()
    {
        lock (gate)
        {
            Processed = Delivered;
        }
    }

    /// <summary>The application is done with everything before <paramref name="offset"/>, unless the log has gone back meanwhile.</summary>
    public void AdvanceProcessed(long offset, int atRewinds)
    {
        lock (gate)
        {
            Processed = atRewinds == Rewinds ? Math.Max(Processed, offset) : Processed;
        }
    }

    /// <summary>What the group is to know of this partition; null when it knows it, or when there is nothing to know.</summary>
    /// <param name="unfinished">Including what the application was given and has not finished.</param>
    public OffsetToCommit? NextCommit(bool unfinished)
    {
        lock (gate)
        {
            long offset = unfinished ? Delivered : Processed;
            return offset >= 0 && offset != Committed
                ? new OffsetToCommit(new CommittedOffset(Partition, offset, LeaderEpoch, ""), this, version)
                : null;
        }
    }

    /// <summary>
    /// The group has this offset now. What the application commits it is done with, so that no later auto-commit takes it back, unless
    /// there was a seek or a reset meanwhile: then the offset says nothing of what the application works on.
    /// </summary>
    /// <param name="atVersion">The version when the offset was committed.</param>
    public void MarkCommitted(long offset, int atVersion)
    {
        lock (gate)
        {
            Committed = offset;
            Processed = atVersion == version ? Math.Max(Processed, Math.Min(offset, Delivered)) : Processed;
        }
    }
}
