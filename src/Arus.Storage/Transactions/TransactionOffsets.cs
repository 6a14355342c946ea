namespace Arus.Storage;

/// <summary>
/// Which transactions of a log are not decided: those without a marker, and those whose marker is not below the high watermark. The
/// first offset of the earliest is where readers of committed records stop. Not thread-safe: guarded by its owner's lock.
/// </summary>
internal sealed class TransactionOffsets
{
    /// <summary>The first offsets of the transactions without a marker; null until there is one, since most logs have none.</summary>
    private SortedSet<long>? _open;

    /// <summary>The same, and those of <see cref="_ended"/>.</summary>
    private SortedSet<long>? _undecided;

    /// <summary>In the order of their markers.</summary>
    private Queue<EndedTransaction>? _ended;

    /// <summary>The first offset of the earliest; <see cref="long.MaxValue"/> without one.</summary>
    public long FirstUndecided => _undecided is { Count: > 0 } ? _undecided.Min : long.MaxValue;

    /// <summary>Those with a marker that is not below the high watermark.</summary>
    public EndedTransaction[] Ended => _ended?.ToArray() ?? [];

    /// <summary>The transactions as they are at a log's end.</summary>
    /// <param name="producers">As they are there.</param>
    /// <param name="ended">Whose marker is before the end; in the order of their markers.</param>
    public static TransactionOffsets Of(ProducerStateManager producers, IEnumerable<EndedTransaction> ended)
    {
        var offsets = new TransactionOffsets();
        foreach ((_, ProducerState state) in producers.All)
        {
            if (state.TransactionFirstOffset >= 0)
                offsets.Begin(state.TransactionFirstOffset);
        }

        foreach (EndedTransaction transaction in ended)
            offsets.Undecided(transaction);

        return offsets;
    }

    /// <summary>Notes what a batch does, which is appended or read back.</summary>
    /// <param name="lastOffset">Of the batch.</param>
    /// <returns>The transaction that it aborts; null for none.</returns>
    public LogAbortedTransaction? Apply(TransactionStep step, long lastOffset)
    {
        if (step.Kind == TransactionStepKind.None)
            return null;

        if (step.Kind == TransactionStepKind.Begins)
        {
            Begin(step.FirstOffset);
            return null;
        }

        _open?.Remove(step.FirstOffset);
        Undecided(new EndedTransaction(step.FirstOffset, lastOffset));
        if (step.Kind == TransactionStepKind.Commits)
            return null;

        long stable = _open is { Count: > 0 } open ? open.Min : lastOffset + 1;
        return new LogAbortedTransaction(step.ProducerId, step.FirstOffset, lastOffset, stable);
    }

    /// <summary>The high watermark has reached an offset: transactions with a marker before it are decided.</summary>
    public void Advance(long highWatermark)
    {
        while (_ended is not null && _ended.TryPeek(out EndedTransaction ended) && ended.LastOffset < highWatermark)
        {
            _ended.Dequeue();
            _undecided!.Remove(ended.FirstOffset);
        }
    }

    private void Begin(long firstOffset)
    {
        (_open ??= []).Add(firstOffset);
        (_undecided ??= []).Add(firstOffset);
    }

    private void Undecided(EndedTransaction ended)
    {
        (_ended ??= []).Enqueue(ended);
        (_undecided ??= []).Add(ended.FirstOffset);
    }
}

/// <param name="LastOffset">Of the marker.</param>
internal readonly record struct EndedTransaction(long FirstOffset, long LastOffset);
