namespace Arus.Chaos;

/// <summary>
/// Which fault begins when. Time is cut into equal slots with one fault each, somewhere in the first half, and kinds are dealt in rounds,
/// so that a run of as many slots as kinds has each of them.
/// </summary>
internal sealed class FaultSchedule(IReadOnlyList<Fault> kinds, Random random, TimeSpan slot)
{
    private readonly Queue<Fault> _round = new();

    public TimeSpan Slot => slot;

    /// <summary>The next kind, and how long after the beginning of its slot it happens.</summary>
    public (Fault Fault, TimeSpan Delay) Next()
    {
        if (_round.Count == 0)
        {
            Fault[] shuffled = [.. kinds];
            random.Shuffle(shuffled);
            foreach (Fault fault in shuffled)
                _round.Enqueue(fault);
        }

        return (_round.Dequeue(), slot * (random.NextDouble() / 2));
    }
}
