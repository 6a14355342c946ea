namespace Arus.Client;

/// <summary>
/// Which of a partition's records are finished, in a ring over those that are under way. Not thread-safe.
/// </summary>
internal sealed class OffsetTracker(long start)
{
    private (long Offset, bool Done)[] ring = new (long, bool)[16];
    private long firstSequence;
    private long nextSequence;
    private long end = start;

    /// <summary>Everything before it is finished: what may be committed.</summary>
    public long Low => Unfinished ?? end;

    /// <summary>The first record that is under way; null when none is.</summary>
    public long? Unfinished => firstSequence == nextSequence ? null : ring[Index(firstSequence)].Offset;

    /// <summary>Notes a record that is taken up; offsets grow.</summary>
    /// <returns>What <see cref="Complete"/> wants.</returns>
    public long Add(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(offset, end);
        if (nextSequence - firstSequence == ring.Length)
        {
            Grow();
        }

        ring[Index(nextSequence)] = (offset, false);
        end = offset + 1;
        return nextSequence++;
    }

    public void Complete(long sequence)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequence, firstSequence);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence, nextSequence);
        ring[Index(sequence)].Done = true;
        while (firstSequence < nextSequence && ring[Index(firstSequence)].Done)
        {
            firstSequence++;
        }
    }

    /// <summary>The partition was read up to here: offsets without records are finished as well.</summary>
    public void ReadTo(long position) => end = Math.Max(end, position);

    private int Index(long sequence) => (int)(sequence & (ring.Length - 1));

    private void Grow()
    {
        var larger = new (long, bool)[2 * ring.Length];
        for (long sequence = firstSequence; sequence < nextSequence; sequence++)
        {
            larger[sequence & (larger.Length - 1)] = ring[Index(sequence)];
        }

        ring = larger;
    }
}
