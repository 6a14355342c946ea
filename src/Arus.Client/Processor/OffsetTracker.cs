namespace Arus.Client;

/// <summary>Which of a partition's records are finished, in a ring over those that are under way. Not thread-safe.</summary>
internal sealed class OffsetTracker(long start)
{
    private (long Offset, bool Done)[] _ring = new (long, bool)[16];
    private long _firstSequence;
    private long _nextSequence;
    private long _end = start;

    /// <summary>Everything before it is finished: what may be committed.</summary>
    public long Low => Unfinished ?? _end;

    /// <summary>The first record that is under way; null when none is.</summary>
    public long? Unfinished => _firstSequence == _nextSequence ? null : _ring[Index(_firstSequence)].Offset;

    /// <summary>Notes a record that is taken up; offsets grow.</summary>
    /// <returns>What <see cref="Complete"/> wants.</returns>
    public long Add(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(offset, _end);
        if (_nextSequence - _firstSequence == _ring.Length)
            Grow();

        _ring[Index(_nextSequence)] = (offset, false);
        _end = offset + 1;
        return _nextSequence++;
    }

    public void Complete(long sequence)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sequence, _firstSequence);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence, _nextSequence);
        _ring[Index(sequence)].Done = true;
        while (_firstSequence < _nextSequence && _ring[Index(_firstSequence)].Done)
            _firstSequence++;
    }

    /// <summary>The partition was read up to here: offsets without records are finished as well.</summary>
    public void ReadTo(long position) => _end = Math.Max(_end, position);

    private int Index(long sequence) => (int)(sequence & (_ring.Length - 1));

    private void Grow()
    {
        var larger = new (long, bool)[2 * _ring.Length];
        for (long sequence = _firstSequence; sequence < _nextSequence; sequence++)
            larger[sequence & (larger.Length - 1)] = _ring[Index(sequence)];

        _ring = larger;
    }
}
